// A file that is copied block by block, shared by the threads that read, hash and write it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "agent/manifest/manifest_format.h"
#include "agent/plan/plan_store.h"
#include "agent/prepare/buffer_pool.h"

namespace driveprep::prepare {

struct LargeFile {
  plan::FileItem item;  // with the size and times found at the open
  manifest::BlobType type = manifest::BlobType::kBlock;
  std::uint32_t piece_length = kBufferBytes;
  std::uint64_t resume_from = 0;  // bytes that are safe on the drive already

  // One for each piece from `resume_from` on. A piece's slot is written by the one thread that
  // hashes it and read after all of them are done.
  std::vector<Md5> hashes;
  std::vector<std::uint8_t> present;  // page blobs: 0 for a piece of zeros, which is left out

  std::uint64_t pieces_behind_resume() const {
    return (item.size - resume_from + piece_length - 1) / piece_length;
  }

  // The clusters of the file, known once the metadata thread has taken them.
  void set_ranges(std::vector<ByteRange> ranges) {
    std::scoped_lock lock(mutex_);
    ranges_ = std::move(ranges);
    changed_.notify_all();
  }
  // Wakes the reader without ranges: the copy is being given up.
  void give_up() {
    std::scoped_lock lock(mutex_);
    given_up_ = true;
    changed_.notify_all();
  }
  // False when the copy was given up.
  bool wait_for_ranges() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ranges_.has_value() || given_up_; });
    return ranges_.has_value();
  }
  // Only after wait_for_ranges() returned true.
  const std::vector<ByteRange>& ranges() const { return *ranges_; }

  // Bytes from the start of the file handed to the pipeline so far (after draining: written).
  std::atomic<std::uint64_t> submitted{0};

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::vector<ByteRange>> ranges_;
  bool given_up_ = false;
};

}  // namespace driveprep::prepare

// Reads pieces of files from the decrypted volume and compares their hashes, several at once.
#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/digest.h"
#include "drive/block/block_device.h"

namespace driveprep::prepare {

// One piece of the manifest and where it lies on the volume.
struct CheckPiece {
  std::shared_ptr<const std::string> blob;  // its path, for the report
  std::uint64_t offset = 0;                 // in the file
  std::uint64_t length = 0;
  Md5 expected{};
  std::vector<ByteRange> ranges;  // of the volume; together `length` bytes, the last may hold more
};

struct Mismatch {
  std::string blob;
  std::uint64_t offset = 0;
  std::string what;         // "expected MD5 ..., found ...", "all zeros", "cannot be read: ..."
  bool unreadable = false;  // the drive gave an error instead of bytes, which may pass
  friend auto operator<=>(const Mismatch&, const Mismatch&) = default;
};

class PieceChecker {
 public:
  struct Limits {
    std::size_t threads = 3;
    std::size_t buffers = 44;  // of 4 MiB, for all threads; each has one at least
  };
  // `on_bytes` is called from several threads.
  PieceChecker(const block::ReadableDevice& volume, Limits limits,
               std::function<void(std::uint64_t)> on_bytes);
  ~PieceChecker();

  void add(CheckPiece piece);
  void report(Mismatch mismatch);
  // Waits for all pieces; throws if a thread failed otherwise than by a piece.
  void finish();

  std::uint64_t mismatch_count() const { return mismatch_count_; }
  // Of them, those that were not read.
  std::uint64_t unreadable_count() const { return unreadable_count_; }
  // The first hundred in the order of blob and offset, whichever thread came upon them when.
  const std::vector<Mismatch>& mismatches() const { return mismatches_; }

 private:
  void run();
  void check(std::vector<CheckPiece>& group);
  void check_long(const CheckPiece& piece);
  void compare(const CheckPiece& piece, const Md5& found, bool zeros);
  void flush();

  const block::ReadableDevice& volume_;
  const std::size_t group_size_;  // pieces read and hashed together
  std::function<void(std::uint64_t)> on_bytes_;
  std::vector<CheckPiece> group_;
  BoundedQueue<std::vector<CheckPiece>> queue_;
  std::mutex mutex_;
  std::vector<Mismatch> mismatches_;
  std::atomic<std::uint64_t> mismatch_count_{0};
  std::atomic<std::uint64_t> unreadable_count_{0};
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};

}  // namespace driveprep::prepare

// A fixed number of large aligned buffers, so that the memory of a copy is known and no page is
// faulted in twice.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

#include "drive/block/aligned_buffer.h"

namespace driveprep::prepare {

// The unit of the data path: one block of the manifest (4 MiB), a multiple of every cluster size.
inline constexpr std::size_t kBufferBytes = 4 * 1024 * 1024;

class BufferPool {
 public:
  explicit BufferPool(std::size_t count) : left_to_make_(count) {}

  // Waits for a buffer; nullopt once the pool is closed.
  std::optional<block::AlignedBuffer> take() {
    std::unique_lock lock(mutex_);
    returned_.wait(lock, [&] { return closed_ || !free_.empty() || left_to_make_ > 0; });
    if (closed_) return std::nullopt;
    if (free_.empty()) {
      --left_to_make_;
      return block::AlignedBuffer(kBufferBytes);
    }
    block::AlignedBuffer buffer = std::move(free_.back());
    free_.pop_back();
    return buffer;
  }

  void give_back(block::AlignedBuffer buffer) {
    std::scoped_lock lock(mutex_);
    free_.push_back(std::move(buffer));
    returned_.notify_one();
  }

  void close() {
    std::scoped_lock lock(mutex_);
    closed_ = true;
    returned_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<block::AlignedBuffer> free_;
  std::size_t left_to_make_;
  bool closed_ = false;
};

}  // namespace driveprep::prepare

#include "agent/volume/export.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/posix.h"
#include "base/zeros.h"
#include "drive/block/aligned_buffer.h"

namespace driveprep::volume {
namespace {

constexpr std::size_t kChunk = 2 * kMiB;
constexpr std::size_t kMostThreads = 8;

// Each thread takes the next piece, reads it, and waits for its turn to write.
class Exporter {
 public:
  Exporter(const block::ReadableDevice& plain, int fd, const std::string& name,
           const ExportOptions& options)
      : plain_(plain), fd_(fd), name_(name), options_(options) {}

  bool run() {
    const std::size_t count =
        std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMostThreads);
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < count; ++i) threads.emplace_back([this] { guarded_work(); });
    guarded_work();
    for (std::thread& thread : threads) thread.join();
    if (error_) std::rethrow_exception(error_);
    if (options_.sparse && !ended_) posix::ftruncate(fd_, plain_.size(), name_, ErrorKind::kWrite);
    return !ended_;
  }

 private:
  void guarded_work() {
    try {
      work();
    } catch (...) {
      std::scoped_lock lock(mutex_);
      if (!error_) error_ = std::current_exception();
      ended_ = true;
      turn_.notify_all();
    }
  }

  void work() {
    block::AlignedBuffer buffer(kChunk);
    for (;;) {
      std::uint64_t offset = 0;
      {
        std::scoped_lock lock(mutex_);
        if (ended_ || next_ >= plain_.size()) return;
        offset = next_;
        next_ += kChunk;
      }
      const std::size_t length = std::min<std::uint64_t>(kChunk, plain_.size() - offset);
      const MutableByteView piece = buffer.span().first(length);
      plain_.read(offset, piece);
      const bool hole = options_.sparse && all_zero(piece);

      std::unique_lock lock(mutex_);
      turn_.wait(lock, [&] { return ended_ || written_ == offset; });
      if (ended_) return;
      lock.unlock();
      if (options_.sparse) {
        if (!hole) posix::pwrite_all(fd_, offset, piece, name_, ErrorKind::kWrite);
      } else {
        posix::write_all(fd_, piece, name_, ErrorKind::kWrite);
      }
      const bool go_on = !options_.on_progress || options_.on_progress(offset + length);
      lock.lock();
      written_ = offset + length;
      if (!go_on) ended_ = true;
      turn_.notify_all();
    }
  }

  const block::ReadableDevice& plain_;
  int fd_;
  const std::string& name_;
  const ExportOptions& options_;
  std::mutex mutex_;
  std::condition_variable turn_;
  std::uint64_t next_ = 0;     // where the next piece to be read begins
  std::uint64_t written_ = 0;  // bytes of the output, without a gap
  bool ended_ = false;
  std::exception_ptr error_;
};

}  // namespace

bool export_volume(const block::ReadableDevice& plain, int fd, const std::string& name,
                   const ExportOptions& options) {
  return Exporter(plain, fd, name, options).run();
}

}  // namespace driveprep::volume

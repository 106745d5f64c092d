// Has the kernel read small sources ahead of the copy while they come from the disk.
//
// The reader waits for a file's directory entry, its inode and its content, one after the other:
// from a disk that is a tenth of a millisecond or more for each file, and the drive idles. Opened
// some hundreds of files ahead, with their content asked for and not waited for, they come many at
// a time. Where everything is in memory that would only cost time: it ends when it finds files
// quick, and begins again when the reader finds them slow.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

#include "agent/job/dataset.h"
#include "agent/plan/plan_store.h"
#include "agent/prepare/source_opener.h"

namespace driveprep::prepare {

class SourceWarmer {
 public:
  // As SourceOpener; begins with warming.
  SourceWarmer(const job::Dataset& dataset, bool follow_links);

  // Files that will be read soon, in that order. On one thread, any; errors are the reader's
  // affair.
  void look(std::span<const plan::FileItem> files);
  // What the reader needed to open and read so many small files. On one thread, any other.
  void took(std::chrono::nanoseconds time, std::size_t files);
  bool warming() const { return warming_.load(std::memory_order_relaxed); }

 private:
  struct Looked {
    std::size_t files = 0;
    std::chrono::nanoseconds time{0};
  };
  Looked look(std::span<const plan::FileItem> files, std::size_t first);

  std::vector<SourceOpener> openers_;  // one a thread
  std::atomic<bool> warming_{true};
  std::size_t counted_ = 0;
  std::chrono::nanoseconds spent_{0};
};

}  // namespace driveprep::prepare

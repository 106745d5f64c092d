// Hands out clusters for file data: ascending, contiguous, each once.
//
// The truth is the volume's $Bitmap, which the library uses too. The allocator marks clusters there
// ahead, in portions of up to 1 GiB, and returns what is left of its portion before each checkpoint
// (settle), so a committed $Bitmap never holds a cluster that no file owns.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/bytes.h"
#include "base/units.h"

namespace driveprep::ntfs {

// $Bitmap, as far as the allocator needs it.
class ClusterBitmap {
 public:
  virtual ~ClusterBitmap() = default;
  virtual std::uint64_t total_clusters() const = 0;
  virtual std::uint64_t free_clusters() const = 0;  // bits that are clear
  // Bytes of the bitmap from `first_byte`.
  virtual void read(std::uint64_t first_byte, MutableByteView out) = 0;
  // Sets or clears the bits of a run and keeps the count of free clusters in step.
  virtual void mark(std::uint64_t first, std::uint64_t count, bool used) = 0;
};

struct ClusterRun {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t end() const { return first + count; }
  friend bool operator==(const ClusterRun&, const ClusterRun&) = default;
};

class ClusterAllocator {
 public:
  // Starts at cluster `start`; what lies before (the zones of $MFT and of indexes) is used last.
  // `portion`: clusters marked ahead at once, at most.
  ClusterAllocator(ClusterBitmap& bitmap, std::uint64_t start, std::uint64_t portion);

  // Free clusters, those marked ahead included.
  std::uint64_t available() const { return bitmap_.free_clusters() + ahead_count_; }

  // `count` clusters in as few runs as the volume allows; empty when there are not enough (nothing
  // is taken then).
  std::vector<ClusterRun> take(std::uint64_t count);

  // Marks a portion ahead if none is: the library then looks for its own clusters elsewhere.
  void look_ahead() {
    if (ahead_.empty()) refill(1);
  }

  // The clusters stay marked until settle().
  void release(ClusterRun run) { released_.push_back(run); }

  // Clears the bits of everything that is marked but not used by a file.
  void settle();

 private:
  void refill(std::uint64_t wanted);
  void scan(std::uint64_t from, std::uint64_t to, std::uint64_t wanted, std::uint64_t& found);

  ClusterBitmap& bitmap_;
  const std::uint64_t start_;
  const std::uint64_t portion_;
  std::uint64_t cursor_;           // where the next portion is looked for
  std::deque<ClusterRun> ahead_;   // marked in the bitmap, not handed out yet
  std::uint64_t ahead_count_ = 0;
  std::vector<ClusterRun> released_;
};

}  // namespace driveprep::ntfs

#include "drive/ntfs/cluster_allocator.h"

#include <algorithm>

#include "drive/ntfs/bit_runs.h"

namespace driveprep::ntfs {
namespace {

constexpr std::uint64_t kScanBytes = 64 * kKiB;

void append(std::vector<ClusterRun>& runs, ClusterRun run) {
  if (!runs.empty() && runs.back().end() == run.first) {
    runs.back().count += run.count;
  } else {
    runs.push_back(run);
  }
}

}  // namespace

ClusterAllocator::ClusterAllocator(ClusterBitmap& bitmap, std::uint64_t start,
                                   std::uint64_t portion)
    : bitmap_(bitmap),
      start_(std::min(start, bitmap.total_clusters())),
      portion_(std::max<std::uint64_t>(portion, 1)),
      cursor_(start_) {}

std::vector<ClusterRun> ClusterAllocator::take(std::uint64_t count) {
  std::vector<ClusterRun> taken;
  if (count > available()) return taken;
  std::uint64_t left = count;
  while (left != 0) {
    if (ahead_.empty()) {
      refill(left);
      if (ahead_.empty()) {  // the count of free clusters was wrong: give back, in order
        for (auto run = taken.rbegin(); run != taken.rend(); ++run) ahead_.push_front(*run);
        ahead_count_ += count - left;
        return {};
      }
    }
    ClusterRun& front = ahead_.front();
    const std::uint64_t part = std::min(left, front.count);
    append(taken, {front.first, part});
    front.first += part;
    front.count -= part;
    ahead_count_ -= part;
    left -= part;
    if (front.count == 0) ahead_.pop_front();
  }
  return taken;
}

// Marks at least `wanted` more clusters, or all there are.
void ClusterAllocator::refill(std::uint64_t wanted) {
  // Near the end of the space the library needs what is left more than a contiguous layout does.
  const std::uint64_t spare = bitmap_.free_clusters() > wanted ? bitmap_.free_clusters() - wanted : 0;
  const std::uint64_t goal = std::max(wanted, std::min(portion_, spare / 4));
  const std::uint64_t total = bitmap_.total_clusters();
  std::uint64_t found = 0;
  const std::uint64_t begin = cursor_;
  scan(begin, total, goal, found);
  // Once around: clusters released behind the cursor, then the zones before `start_`.
  if (found < wanted) scan(start_, begin, wanted, found);
  if (found < wanted) scan(0, start_, wanted, found);
}

// Marks free runs of [from, to) until `wanted` clusters are found, and moves the cursor behind them.
void ClusterAllocator::scan(std::uint64_t from, std::uint64_t to, std::uint64_t wanted,
                            std::uint64_t& found) {
  if (from >= to || found >= wanted) return;
  std::vector<ClusterRun> runs;
  std::uint64_t counted = found;
  BitRunScanner scanner(false, [&](std::uint64_t first, std::uint64_t count) {
    const std::uint64_t begin = std::max(first, from);
    const std::uint64_t end = std::min(first + count, to);
    if (begin >= end) return true;
    const std::uint64_t part = std::min(end - begin, wanted - counted);
    runs.push_back({begin, part});
    counted += part;
    return counted < wanted;
  });
  Bytes buffer(kScanBytes);
  bool more = true;
  for (std::uint64_t bit = round_down(from, 8); more && bit < to;) {
    const std::uint64_t bits = std::min<std::uint64_t>(kScanBytes * 8, to - bit);
    const MutableByteView bytes = MutableByteView(buffer).first((bits + 7) / 8);
    bitmap_.read(bit / 8, bytes);
    more = scanner.feed(bit, bytes, bits);
    bit += bits;
    // An empty volume is one run of billions: stop as soon as it is long enough.
    if (counted + std::min(scanner.pending(), bit - from) >= wanted) break;
  }
  if (more) scanner.finish();
  for (const ClusterRun& run : runs) {
    bitmap_.mark(run.first, run.count, true);
    ahead_.push_back(run);
    ahead_count_ += run.count;
    found += run.count;
  }
  cursor_ = runs.empty() ? to : runs.back().end();
}

void ClusterAllocator::settle() {
  if (!ahead_.empty()) {
    cursor_ = ahead_.front().first;
    for (const ClusterRun& run : ahead_) bitmap_.mark(run.first, run.count, false);
    ahead_.clear();
    ahead_count_ = 0;
  }
  for (const ClusterRun& run : released_) bitmap_.mark(run.first, run.count, false);
  released_.clear();
}

}  // namespace driveprep::ntfs

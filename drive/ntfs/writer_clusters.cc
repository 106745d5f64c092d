// Where a WriterSession finds clusters for $MFT and for indexes.
#include <algorithm>

#include "drive/ntfs/bit_runs.h"
#include "drive/ntfs/writer_session.h"

namespace driveprep::ntfs {

// The first run of free clusters in [from, to) with as many as wanted.
std::optional<ClusterRun> WriterSession::find_free_run(std::uint64_t from, std::uint64_t to,
                                                       std::uint64_t wanted) {
  from = round_down(from, 8);
  to = std::min(to, bitmap_.total_clusters());
  std::optional<ClusterRun> found;
  if (from >= to) return found;
  BitRunScanner scanner(false, [&](std::uint64_t first, std::uint64_t count) {
    if (count >= wanted) found = ClusterRun{first, wanted};
    return !found;
  });
  Bytes bits((to - from + 7) / 8);
  bitmap_.read(from / 8, bits);
  if (scanner.feed(from, bits, to - from)) scanner.finish();
  return found;
}

// Right behind the last cluster if that is free, so that $MFT stays in one piece; otherwise behind
// what is in the way there (reserved ranges are), but still in its zone.
ByteRange WriterSession::clusters_for_records(std::uint64_t wanted, std::uint64_t clusters) {
  std::uint64_t adjacent = 0;
  if (wanted < bitmap_.total_clusters()) {
    const std::uint64_t end = std::min(wanted + clusters, bitmap_.total_clusters());
    const std::uint64_t from = round_down(wanted, 8);
    Bytes bits((end - from + 7) / 8);
    bitmap_.read(from / 8, bits);
    while (wanted + adjacent < end) {
      const std::uint64_t at = wanted + adjacent - from;
      if ((std::to_integer<unsigned>(bits[at / 8]) >> (at % 8) & 1U) != 0) break;
      ++adjacent;
    }
  }
  if (adjacent != 0) {
    bitmap_.mark(wanted, adjacent, true);
    return bytes_of({wanted, adjacent});
  }
  const auto zone_end = static_cast<std::uint64_t>(volume()->mft_zone_end);
  if (const auto run = find_free_run(wanted, zone_end, clusters)) {
    bitmap_.mark(run->first, run->count, true);
    return bytes_of(*run);
  }
  const std::vector<ClusterRun> runs = allocator_->take(clusters);
  if (runs.empty()) {
    errno = ENOSPC;
    mount_.fail("extend $MFT");
  }
  for (const ClusterRun& other : std::span(runs).subspan(1)) allocator_->release(other);
  return bytes_of(runs.front());
}

// In the zone of indexes, one behind the other, as long as it lasts.
std::vector<ByteRange> WriterSession::clusters_for_index(std::uint64_t clusters) {
  const auto from = static_cast<std::uint64_t>(index_position_);
  const auto zone_end = static_cast<std::uint64_t>(index_zone_end_);
  if (const auto run = find_free_run(from, std::min(zone_end, from + 16 * clusters), clusters)) {
    bitmap_.mark(run->first, run->count, true);
    index_position_ = static_cast<LCN>(run->end());
    volume()->data1_zone_pos = index_position_;
    return {bytes_of(*run)};
  }
  std::vector<ByteRange> ranges;
  for (const ClusterRun& run : allocator_->take(clusters)) ranges.push_back(bytes_of(run));
  if (ranges.empty()) {
    errno = ENOSPC;
    mount_.fail("extend the index of a directory");
  }
  return ranges;
}

bool WriterSession::has_free(const ClusterRun& run) { return count_free(run) != 0; }

std::uint64_t WriterSession::count_free(const ClusterRun& run) {
  const std::uint64_t first = round_down(run.first, 8);
  Bytes bits((run.end() - first + 7) / 8);
  bitmap_.read(first / 8, bits);
  std::uint64_t free = 0;
  for (std::uint64_t n = run.first; n < run.end(); ++n) {
    const std::uint64_t at = n - first;
    if ((std::to_integer<unsigned>(bits[at / 8]) >> (at % 8) & 1U) == 0) ++free;
  }
  return free;
}

}  // namespace driveprep::ntfs

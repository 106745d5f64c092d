#include "bitlocker/layout.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"

namespace driveprep::bitlocker {
namespace {

// No copy lies before 33 MiB, so that damage to the start of a volume spares all of them.
constexpr std::uint64_t kFirstCopy = 33 * kMiB;
constexpr std::uint64_t kSteps = 9;

constexpr const char* kCopyName = "FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.";
constexpr const char* kBackupName = "FVE2.{24e6f0ae-6a00-4f73-984b-75ce9942852d}";
constexpr const char* kReservedName = "FVE2.{da392a22-cae0-4f0f-9a30-b8830385d046}";

[[noreturn]] void refuse(std::uint64_t volume_size, const std::string& why) {
  throw Error(ErrorKind::kRefused, "volume-too-small",
              "a volume of " + std::to_string(volume_size) + " bytes cannot be encrypted: " + why,
              "Use a larger drive or image: at least 64 MiB.");
}

// Merged, sorted ranges of what is taken.
std::vector<ByteRange> merged(std::span<const ByteRange> ranges) {
  std::vector<ByteRange> sorted(ranges.begin(), ranges.end());
  std::erase_if(sorted, [](const ByteRange& r) { return r.length == 0; });
  std::sort(sorted.begin(), sorted.end());
  std::vector<ByteRange> result;
  for (const ByteRange& range : sorted) {
    if (!result.empty() && range.offset <= result.back().end()) {
      result.back().length = std::max(result.back().end(), range.end()) - result.back().offset;
    } else {
      result.push_back(range);
    }
  }
  return result;
}

// The first cluster boundary at or after `from` with `length` free bytes.
std::uint64_t first_free(std::uint64_t from, std::uint64_t length, std::uint64_t cluster,
                         const std::vector<ByteRange>& taken) {
  ByteRange place{round_up(from, cluster), length};
  for (const ByteRange& range : taken) {
    if (place.overlaps(range)) place.offset = round_up(range.end(), cluster);
  }
  return place.offset;
}

}  // namespace

std::vector<ReservedFile> VolumeLayout::reserved_files() const {
  std::vector<ReservedFile> files;
  for (std::size_t i = 0; i < metadata.size(); ++i) {
    files.push_back({kCopyName + std::to_string(i + 1), {metadata[i], kMetadataSize}});
  }
  files.push_back({kBackupName, {header_backup, header_backup_size}});
  if (reserved) files.push_back({kReservedName, {*reserved, kReservedSize}});
  return files;
}

std::array<ByteRange, 4> VolumeLayout::hidden_ranges() const {
  return {{{metadata[0], kMetadataSize},
           {metadata[1], kMetadataSize},
           {metadata[2], kMetadataSize},
           {header_backup, header_backup_size}}};
}

VolumeLayout place_metadata(std::uint64_t volume_size, SectorSize sector_size,
                            std::uint64_t cluster_size, std::span<const ByteRange> occupied) {
  require(std::has_single_bit(cluster_size) && cluster_size >= sector_size.bytes() &&
              cluster_size <= 2 * kMiB,
          "a cluster is a power of two from one sector to 2 MiB");
  require(volume_size % sector_size.bytes() == 0, "a volume has whole sectors");
  if (volume_size < kSmallestVolume) refuse(volume_size, "it is smaller than 61 MiB");

  // The last sector holds the backup boot sector and belongs to no cluster.
  const std::uint64_t clusters_end = round_down(volume_size - sector_size.bytes(), cluster_size);
  const std::uint64_t copy = round_up(kMetadataSize, cluster_size);
  const std::uint64_t backup = round_up(kBootRegionSize, cluster_size);
  const std::uint64_t reserved = round_up(kReservedSize, cluster_size);
  const std::vector<ByteRange> taken = merged(occupied);
  const std::uint64_t step = volume_size / kSteps;

  VolumeLayout layout;
  layout.volume_size = volume_size;
  layout.sector_size = sector_size;
  layout.cluster_size = cluster_size;
  layout.metadata[0] = first_free(kFirstCopy, copy + backup + reserved, cluster_size, taken);
  layout.header_backup = layout.metadata[0] + copy;
  layout.reserved = layout.header_backup + backup;

  // The nominal places follow from each other, not from where the first copy had to go.
  std::uint64_t nominal = round_up(kFirstCopy, cluster_size);
  std::uint64_t free_from = *layout.reserved + reserved;
  for (std::size_t i = 1; i < layout.metadata.size(); ++i) {
    nominal = round_up(nominal + step, cluster_size);
    layout.metadata[i] = first_free(std::max(nominal, free_from), copy, cluster_size, taken);
    free_from = layout.metadata[i] + copy;
  }
  if (free_from > clusters_end) {
    refuse(volume_size, "no room is left for the three copies of its metadata");
  }
  return layout;
}

}  // namespace driveprep::bitlocker

#include "agent/plan/capacity.h"

#include <algorithm>

#include "agent/manifest/manifest_format.h"
#include "base/bytes.h"
#include "base/units.h"

namespace driveprep::plan {
namespace {

constexpr std::uint64_t kPartitionTables = 2 * kMiB;
// $UpCase (128 KiB), $AttrDef, $Boot, $Secure, the first extent of $MFT and its mirror, the root
// directory; BitLocker's three metadata copies, relocated sectors and the area behind them.
constexpr std::uint64_t kFixedFiles = 2 * kMiB;

// Header, standard information, name (all but its characters), security descriptor and the head of
// the data attribute: what a record holds beside the name and data stored inside it.
constexpr std::uint64_t kRecordOverhead = 480;

// An index entry holds 98 bytes and the name; index blocks are about 60 % full.
std::uint64_t index_cost(std::uint64_t name_units) { return (120 + 2 * name_units) * 10 / 6; }

std::uint64_t log_file_bytes(std::uint64_t volume_bytes) {
  return std::clamp(volume_bytes / 200, 2 * kMiB, 64 * kMiB);
}

}  // namespace

Geometry geometry_of(std::uint64_t disk_bytes, std::uint32_t sector_bytes) {
  Geometry geometry;
  geometry.record_bytes = std::max<std::uint32_t>(1024, sector_bytes);
  // NTFS numbers clusters with 32 bits.
  while (disk_bytes / geometry.cluster_bytes > 0xFFFFFFFEULL && geometry.cluster_bytes < 65536) {
    geometry.cluster_bytes *= 2;
  }
  return geometry;
}

std::uint64_t overhead_bytes(std::uint64_t disk_bytes, std::uint32_t sector_bytes) {
  const Geometry geometry = geometry_of(disk_bytes, sector_bytes);
  const std::uint64_t volume = round_down(disk_bytes, kMiB) - kPartitionTables;
  const std::uint64_t bitmap =
      round_up(volume / geometry.cluster_bytes / 8 + 1, geometry.cluster_bytes);
  return kPartitionTables + bitmap + log_file_bytes(volume) + kFixedFiles;
}

std::uint64_t usable_bytes(std::uint64_t disk_bytes, std::uint32_t sector_bytes) {
  if (disk_bytes < kMinDiskBytes) return 0;
  return (round_down(disk_bytes, kMiB) - overhead_bytes(disk_bytes, sector_bytes)) / 100 * 99;
}

std::uint64_t file_cost(std::uint64_t size, std::uint64_t name_units, std::uint64_t path_bytes,
                        const Geometry& geometry) {
  const bool in_record = size + 2 * name_units + kRecordOverhead <= geometry.record_bytes;
  const std::uint64_t data = in_record ? 0 : round_up(size, geometry.cluster_bytes);
  const std::uint64_t length = manifest::block_length_for(size).value_or(manifest::kMaxPieceLength);
  const std::uint64_t blocks = (size + length - 1) / length;
  const std::uint64_t manifest = 500 + path_bytes + 110 * blocks;
  return data + geometry.record_bytes + index_cost(name_units) + manifest;
}

std::uint64_t directory_cost(std::uint64_t name_units, const Geometry& geometry) {
  return geometry.record_bytes + index_cost(name_units) + geometry.cluster_bytes;
}

}  // namespace driveprep::plan

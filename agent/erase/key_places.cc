#include "agent/erase/key_places.h"

#include <algorithm>

#include "bitlocker/examine.h"
#include "bitlocker/layout.h"
#include "drive/layout/gpt.h"

namespace driveprep::erase {
namespace {

constexpr std::uint64_t kSmallestArea = kMiB;

// Whole blocks of 4096 bytes, inside the area.
ByteRange aligned(const ByteRange& area, std::uint64_t offset, std::uint64_t length) {
  constexpr std::uint64_t kGrain = 4096;
  const std::uint64_t begin = round_down(area.offset + offset, kGrain);
  const std::uint64_t end = std::min(round_up(area.offset + offset + length, kGrain), area.end());
  return {begin, end - begin};
}

void add(KeyPlaces& found, std::string what, const ByteRange& range) {
  const auto same = [&](const KeyPlace& place) { return place.range == range; };
  if (range.length > 0 && std::ranges::none_of(found.places, same)) {
    found.places.push_back({std::move(what), range});
  }
}

void look_at(const block::ReadableDevice& disk, const ByteRange& area, KeyPlaces& found) {
  if (area.length < kSmallestArea || area.end() > disk.size()) return;
  const block::ReadableSlice volume(disk, area, disk.name());
  bitlocker::ExamineOptions options;
  options.search = bitlocker::Search::kLikely;
  bitlocker::VolumeFacts facts;
  try {
    facts = bitlocker::examine(volume, options);
  } catch (const Error&) {
    return;  // its header cannot be read; what else there is shows in the read-back
  }
  const bool has_header = facts.header.kind != bitlocker::VolumeKind::kNone;
  if (!has_header && !facts.has_sound_copy()) return;
  int number = 0;
  for (const bitlocker::CopyFacts& copy : facts.copies) {
    ++number;
    if (copy.offset == 0 || copy.offset + bitlocker::kMetadataSize > area.length) continue;
    add(found, "metadata copy " + std::to_string(number),
        aligned(area, copy.offset, bitlocker::kMetadataSize));
  }
  add(found, "volume header", aligned(area, 0, bitlocker::kBootRegionSize));
  if (const bitlocker::CopyFacts* copy = facts.newest()) {
    const bitlocker::Metadata& metadata = *copy->metadata;
    if (metadata.relocation_offset > 0 && metadata.relocation_offset < area.length) {
      add(found, "relocated header",
          aligned(area, metadata.relocation_offset, bitlocker::kBootRegionSize));
    }
    const std::string id = metadata.volume_id.lower();
    if (std::ranges::find(found.volumes, id) == found.volumes.end()) found.volumes.push_back(id);
  }
}

}  // namespace

KeyPlaces find_key_places(const block::ReadableDevice& disk,
                          const std::vector<ByteRange>& partitions) {
  KeyPlaces found;
  look_at(disk, {0, disk.size()}, found);
  for (const ByteRange& partition : partitions) look_at(disk, partition, found);
  if (disk.size() > 4 * layout::kPartitionGrain) {
    look_at(disk, layout::partition_range(disk.size()), found);
  }
  return found;
}

}  // namespace driveprep::erase

#include "agent/erase/key_places.h"

#include <algorithm>

#include "bitlocker/copy_search.h"
#include "bitlocker/examine.h"
#include "bitlocker/layout.h"
#include "bitlocker/relocation.h"
#include "drive/block/aligned_buffer.h"
#include "drive/layout/gpt.h"

namespace driveprep::erase {
namespace {

using bitlocker::Metadata;

constexpr std::uint64_t kSmallestArea = kMiB;
constexpr std::uint64_t kGrain = 4096;
constexpr std::uint64_t kStep = 512;
constexpr std::uint64_t kChunk = kMiB;
// The relocated header of a To Go volume has 5 MiB; what a damaged copy says is not believed.
constexpr std::uint64_t kMostOfArea = 16 * kMiB;
// A disk full of signatures shall not fill the memory.
constexpr std::size_t kMostHeld = 1024;

void throw_if_gone(const Error& error) {
  if (error.kind() == ErrorKind::kBusy) throw;
}

class Finder {
 public:
  Finder(const block::ReadableDevice& disk, KeyPlaces& found) : disk_(disk), found_(found) {}

  void follow_header(const ByteRange& area) {
    const block::ReadableSlice volume(disk_, area, disk_.name());
    bitlocker::VolumeFacts facts;
    try {
      facts = bitlocker::examine(volume);
    } catch (const Error& error) {
      throw_if_gone(error);
      return;  // the search sees to it
    }
    if (facts.header.kind == bitlocker::VolumeKind::kNone) return;
    for (std::size_t i = 0; i < facts.copies.size(); ++i) {
      add_copy(area.offset, facts.copies[i].offset, i);
    }
    add("volume header", area.offset, bitlocker::kBootRegionSize);
    for (const bitlocker::CopyFacts& copy : facts.copies) {
      if (copy.sound()) add_what_it_names(area.offset, *copy.metadata);
    }
  }

  // Reads a range of the disk, looking at each sector. False when it was stopped.
  bool search(const ByteRange& range, const SearchWatch& watch) {
    for (std::uint64_t at = range.offset; at < range.end(); at += kChunk) {
      if (watch.stopping()) return false;
      const MutableByteView chunk = chunk_.span().first(std::min(kChunk, range.end() - at));
      try {
        disk_.read(at, chunk);
      } catch (const Error& error) {
        throw_if_gone(error);
        add("unreadable", at, chunk.size());
        if (watch.progress != nullptr) watch.progress->add_bytes(chunk.size());
        continue;
      }
      for (std::uint64_t in = 0; in + kStep <= chunk.size(); in += kStep) {
        if (starts_copy(chunk.subspan(in))) look_at_copy(at + in);
      }
      if (watch.progress != nullptr) watch.progress->add_bytes(chunk.size());
    }
    return true;
  }

 private:
  static bool starts_copy(ByteView bytes) {
    const std::string_view signature = bitlocker::kMetadataSignature;
    return as_text(bytes.first(signature.size())) == signature;
  }

  bool starts_copy_at(std::uint64_t at) const {
    if (at > disk_.size() || disk_.size() - at < kStep) return false;
    Bytes sector(kStep);
    try {
      disk_.read(at, sector);
    } catch (const Error& error) {
      throw_if_gone(error);
      return false;
    }
    return starts_copy(sector);
  }

  void look_at_copy(std::uint64_t at) {
    if (is_known(at)) return;
    add("metadata", at, bitlocker::kMetadataSize);
    if (disk_.size() - at < bitlocker::kMetadataSize) return;
    Bytes block(bitlocker::kMetadataSize);
    try {
      disk_.read(at, block);
      const Metadata metadata = bitlocker::parse_metadata(block);
      if (bitlocker::crc_matches(metadata, block)) follow_copy(at, metadata);
    } catch (const FormatError&) {
      // Damaged; it goes nevertheless.
    } catch (const Error& error) {
      throw_if_gone(error);
    }
  }

  // Which of the three it is, and so where its volume starts, only another copy or a known
  // partition tells.
  void follow_copy(std::uint64_t at, const Metadata& metadata) {
    add_volume(metadata);
    for (const std::uint64_t own : metadata.offsets) {
      if (own > at) continue;
      const std::uint64_t start = at - own;
      const bool known =
          std::ranges::find(found_.areas, start, &ByteRange::offset) != found_.areas.end();
      const bool others = std::ranges::any_of(metadata.offsets, [&](std::uint64_t other) {
        return other != own && other < disk_.size() && starts_copy_at(start + other);
      });
      if (!known && !others) continue;
      for (std::size_t i = 0; i < metadata.offsets.size(); ++i) {
        add_copy(start, metadata.offsets[i], i);
      }
      add("volume header", start, bitlocker::kBootRegionSize);
      add_what_it_names(start, metadata);
    }
  }

  void add_copy(std::uint64_t start, std::uint64_t offset, std::size_t index) {
    if (offset == 0 || offset >= disk_.size()) return;
    add("metadata copy " + std::to_string(index + 1), start + offset, bitlocker::kMetadataSize);
  }

  void add_what_it_names(std::uint64_t start, const Metadata& metadata) {
    add_volume(metadata);
    const bitlocker::Entry* entry = metadata.find(bitlocker::Role::kRelocation);
    const auto relocation = entry == nullptr ? std::nullopt : bitlocker::parse_relocation(*entry);
    if (!relocation) return;
    const auto add_area = [&](const char* what, std::uint64_t offset, std::uint64_t size) {
      if (offset == 0 || offset >= disk_.size()) return;
      add(what, start + offset, std::min(size, kMostOfArea));
    };
    add_area("relocated header", relocation->offset,
             std::max(relocation->size, bitlocker::kBootRegionSize));
    if (relocation->extension) {
      add_area("reserved area", relocation->extension->reserved_offset,
               relocation->extension->reserved_size);
    }
  }

  void add_volume(const Metadata& metadata) {
    std::string id = metadata.volume_id.lower();
    if (std::ranges::find(found_.volumes, id) == found_.volumes.end()) {
      found_.volumes.push_back(std::move(id));
    }
  }

  bool is_known(std::uint64_t at) const {
    return std::ranges::any_of(found_.places,
                               [&](const KeyPlace& place) { return place.range.contains(at); });
  }

  // Whole blocks of 4096 bytes.
  void add(std::string what, std::uint64_t offset, std::uint64_t length) {
    if (offset >= disk_.size() || length == 0) return;
    const std::uint64_t begin = round_down(offset, kGrain);
    const std::uint64_t end = std::min(round_up(offset + length, kGrain), disk_.size());
    const auto covers = [&](const KeyPlace& each) {
      return each.range.offset <= begin && each.range.end() >= end;
    };
    if (std::ranges::any_of(found_.places, covers)) return;
    found_.places.push_back({std::move(what), {begin, end - begin}, {}});
    hold(found_.places.back());
  }

  void hold(KeyPlace& place) const {
    if (place.what == "unreadable" || found_.places.size() > kMostHeld) return;
    place.held.resize(place.range.length);
    try {
      disk_.read(place.range.offset, place.held);
    } catch (const Error& error) {
      throw_if_gone(error);
      place.held.clear();
    }
  }

  const block::ReadableDevice& disk_;
  KeyPlaces& found_;
  block::AlignedBuffer chunk_{kChunk};
};

// In order, none overlapping another.
std::vector<ByteRange> merged(std::vector<ByteRange> ranges) {
  std::ranges::sort(ranges);
  std::vector<ByteRange> result;
  for (const ByteRange& range : ranges) {
    if (result.empty() || range.offset > result.back().end()) {
      result.push_back(range);
      continue;
    }
    ByteRange& last = result.back();
    last.length = std::max(last.end(), range.end()) - last.offset;
  }
  return result;
}

}  // namespace

KeyPlaces named_key_places(const block::ReadableDevice& disk,
                           const std::vector<ByteRange>& partitions) {
  KeyPlaces found;
  const auto add_area = [&](const ByteRange& area) {
    if (area.length < kSmallestArea || area.offset >= disk.size() ||
        area.length > disk.size() - area.offset ||
        std::ranges::find(found.areas, area) != found.areas.end()) {
      return;
    }
    found.areas.push_back(area);
  };
  add_area({0, disk.size()});
  for (const ByteRange& partition : partitions) add_area(partition);
  if (disk.size() > 4 * layout::kPartitionGrain) add_area(layout::partition_range(disk.size()));
  Finder finder(disk, found);
  for (const ByteRange& area : found.areas) finder.follow_header(area);
  return found;
}

bool search_key_places(const block::ReadableDevice& disk, KeyPlaces& found,
                       const SearchWatch& watch) {
  std::vector<ByteRange> ranges;
  if (found.everywhere) ranges.push_back({0, disk.size()});
  for (const ByteRange& area : found.areas) {
    for (const ByteRange& place : bitlocker::likely_places(area.length)) {
      ranges.push_back({area.offset + place.offset, place.length});
    }
  }
  ranges = merged(std::move(ranges));
  std::uint64_t total = 0;
  for (const ByteRange& range : ranges) total += range.length;
  if (watch.progress != nullptr) watch.progress->begin(report::Phase::kSearching, total);
  Finder finder(disk, found);
  if (!std::ranges::all_of(ranges,
                           [&](const ByteRange& range) { return finder.search(range, watch); })) {
    return false;
  }
  found.searched = total;
  return true;
}

KeyPlaces find_key_places(const block::ReadableDevice& disk,
                          const std::vector<ByteRange>& partitions) {
  KeyPlaces found = named_key_places(disk, partitions);
  search_key_places(disk, found);
  return found;
}

}  // namespace driveprep::erase

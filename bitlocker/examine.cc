#include "bitlocker/examine.h"

#include <algorithm>

#include "bitlocker/copy_search.h"
#include "bitlocker/layout.h"
#include "bitlocker/relocation.h"

namespace driveprep::bitlocker {
namespace {

constexpr std::size_t kHeaderSize = 512;

std::optional<Relocation> relocation_of(const Metadata& metadata) {
  const Entry* entry = metadata.find(Role::kRelocation);
  return entry == nullptr ? std::nullopt : parse_relocation(*entry);
}

// Why a parsed copy cannot be used, or an empty text.
std::string fault_of(const Metadata& metadata, ByteView block, std::uint64_t offset,
                     std::size_t index, std::uint64_t partition_size) {
  if (!crc_matches(metadata, block)) return "its checksum is wrong";
  if (metadata.offsets[index] != offset) return "it belongs to another place";
  if (metadata.current_state == kStateDecrypted) return {};
  const std::optional<Relocation> relocation = relocation_of(metadata);
  if (!relocation) return "it does not say where the boot sectors are";
  const std::uint64_t sector = sector_size_of(metadata);
  // While a volume is converted the encrypted part ends anywhere.
  const std::uint64_t end = metadata.is_finished() ? metadata.encrypted_size : partition_size;
  if (sector == 0 || relocation->offset != metadata.relocation_offset ||
      relocation->offset % sector != 0 || metadata.encrypted_size % sector != 0 ||
      relocation->offset > end || relocation->size > end - relocation->offset) {
    return "it contradicts itself about where the boot sectors are";
  }
  return {};
}

CopyFacts read_copy(const block::ReadableDevice& partition, std::uint64_t offset,
                    std::size_t index) {
  CopyFacts copy;
  copy.offset = offset;
  if (offset > partition.size() || partition.size() - offset < kMetadataSize) {
    copy.fault = "it lies outside the volume";
    return copy;
  }
  Bytes block(kMetadataSize);
  try {
    partition.read(offset, block);
    copy.metadata = parse_metadata(block);
    copy.fault = fault_of(*copy.metadata, block, offset, index, partition.size());
  } catch (const std::exception& error) {  // malformed, or unreadable sectors
    copy.fault = error.what();
  }
  return copy;
}

void read_copies(const block::ReadableDevice& partition,
                 const std::array<std::uint64_t, 3>& offsets, VolumeFacts& facts) {
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    facts.copies[i] = read_copy(partition, offsets[i], i);
  }
}

VolumeHeader read_header(const block::ReadableDevice& partition) {
  Bytes sector(kHeaderSize);
  if (partition.size() >= sector.size()) partition.read(0, sector);
  return parse_volume_header(sector);
}

// The last one written of the sound copies that `counts` is true of; null when there is none.
template <typename Counts>
const CopyFacts* newest_of(const std::array<CopyFacts, 3>& copies, Counts counts) {
  const CopyFacts* newest = nullptr;
  for (const CopyFacts& copy : copies) {
    if (!copy.sound() || !counts(*copy.metadata)) continue;
    if (newest == nullptr || copy.metadata->next_nonce > newest->metadata->next_nonce) {
      newest = &copy;
    }
  }
  return newest;
}

}  // namespace

bool VolumeFacts::has_sound_copy() const { return std::ranges::any_of(copies, &CopyFacts::sound); }

const CopyFacts* VolumeFacts::newest() const {
  return newest_of(copies, [](const Metadata&) { return true; });
}

const CopyFacts* VolumeFacts::newest_signed(const SecretBytes& vmk) const {
  return newest_of(copies, [&](const Metadata& metadata) {
    return check_integrity(metadata, vmk) == Integrity::kGood;
  });
}

bool VolumeFacts::copies_agree() const {
  const CopyFacts* first = newest();
  return std::ranges::all_of(copies, [&](const CopyFacts& copy) {
    return !copy.sound() || *copy.metadata == *first->metadata;
  });
}

VolumeFacts examine(const block::ReadableDevice& partition, const ExamineOptions& options) {
  VolumeFacts facts;
  for (CopyFacts& copy : facts.copies) copy.fault = "it was not found";
  if (options.metadata_offsets) {
    read_copies(partition, *options.metadata_offsets, facts);
    return facts;
  }
  facts.header = read_header(partition);
  if (facts.header.kind == VolumeKind::kVista) return facts;
  if (facts.header.kind != VolumeKind::kNone) {
    read_copies(partition, facts.header.metadata, facts);
  }
  if (facts.has_sound_copy() || options.search == Search::kNever) return facts;
  facts.searched = true;
  const auto found =
      find_copies(partition, options.search == Search::kEverywhere, options.on_progress);
  if (found) read_copies(partition, *found, facts);
  return facts;
}

std::uint64_t sector_size_of(const Metadata& metadata) {
  const std::optional<Relocation> relocation = relocation_of(metadata);
  if (!relocation || metadata.relocated_sectors == 0) return 0;
  const std::uint64_t bytes = relocation->size / metadata.relocated_sectors;
  const bool exact = bytes * metadata.relocated_sectors == relocation->size;
  return exact && SectorSize::is_valid(bytes) ? bytes : 0;
}

std::uint64_t missing_bytes(const Metadata& metadata, std::uint64_t size) {
  return metadata.encrypted_size > size ? metadata.encrypted_size - size : 0;
}

bool says_converting(const Metadata& metadata) {
  const std::optional<Relocation> relocation = relocation_of(metadata);
  return relocation && relocation->extension && relocation->extension->says_converting();
}

}  // namespace driveprep::bitlocker

// What there is of a BitLocker volume, whatever its state: the header and the three copies of the
// metadata. Needs no key and changes nothing.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "bitlocker/metadata.h"
#include "bitlocker/volume_header.h"
#include "drive/block/block_device.h"

namespace driveprep::bitlocker {

// One copy of the metadata.
struct CopyFacts {
  std::uint64_t offset = 0;          // bytes from the start of the volume
  std::optional<Metadata> metadata;  // when it could be parsed
  std::string fault;                 // why it cannot be used: "its checksum is wrong"

  bool sound() const { return fault.empty(); }
};

struct VolumeFacts {
  VolumeHeader header;    // kNone: destroyed, or there never was one
  bool searched = false;  // the header led to no sound copy: they were looked for
  // In their order on the volume. Without metadata and with offset 0: not found.
  std::array<CopyFacts, 3> copies;

  bool has_sound_copy() const;
  // The sound copy with the highest next nonce: the last one written. They differ only when a
  // change of the protectors was interrupted. Null when none is sound.
  const CopyFacts* newest() const;
  // The same of those whose integrity hash is good under this volume master key: a copy with a high
  // nonce and no good hash was made by somebody who did not hold it.
  const CopyFacts* newest_signed(const SecretBytes& vmk) const;
  // Whether all sound copies say the same.
  bool copies_agree() const;
};

// How far to look for copies that the header does not lead to.
enum class Search {
  kNever,
  kLikely,      // where Windows and driveprep put them; up to 4 GiB everywhere
  kEverywhere,  // the whole volume, which takes as long as reading it
};

struct ExamineOptions {
  // Read the copies here instead of asking the volume header.
  std::optional<std::array<std::uint64_t, 3>> metadata_offsets{};
  Search search = Search::kNever;
  // Of a search: bytes looked at, and how many there are; false ends it.
  std::function<bool(std::uint64_t, std::uint64_t)> on_progress{};
};

// Never throws for what it finds on the volume, but for a header that cannot be read.
VolumeFacts examine(const block::ReadableDevice& partition, const ExamineOptions& options = {});

// Bytes a sector as the metadata implies it; 0 when that is not a sector size.
std::uint64_t sector_size_of(const Metadata& metadata);

// Bytes that the volume has and `size`, that of the place it lies in, has not: 0 but for a cut-off
// image.
std::uint64_t missing_bytes(const Metadata& metadata, std::uint64_t size);

// Whether the metadata itself says that encrypting is not finished. Asked where the header is lost,
// which says it for certain.
bool says_converting(const Metadata& metadata);

}  // namespace driveprep::bitlocker

// What the intake test writes: sectors that say where they belong.
//
//   0   8  "DRVPTAG1"
//   8  16  run id
//  24   8  offset on the drive, bytes, little-endian
//  32   8  number of the place in the order of writing
//  40   4  CRC-32 of the sector with zeros here
//  44      bytes that follow from run and offset and cannot be compressed
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/guid.h"
#include "base/units.h"

namespace driveprep::intake {

struct Tag {
  Guid run;
  std::uint64_t offset = 0;
  std::uint64_t place = 0;
  friend bool operator==(const Tag&, const Tag&) = default;
};

// Fills `out`, whole sectors, of which `first` is the tag of the first one.
void fill_with_tags(MutableByteView out, SectorSize sector, const Tag& first);

// The tag of one sector; nullopt for anything else, a tag with a wrong checksum too.
std::optional<Tag> tag_of(ByteView sector);

}  // namespace driveprep::intake

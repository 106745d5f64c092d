// What an ATA drive says of itself: the 512 bytes of IDENTIFY DEVICE.
//
// Format: ACS-4, 7.13; the words used are listed in the drive-safety reference, section 3.1. Words
// are little-endian; texts have their bytes swapped in each word.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace driveprep::inventory {

inline constexpr std::size_t kAtaPageBytes = 512;

// Whether the bytes of a page add up to 0, as those of SMART and of most IDENTIFY pages do.
bool has_right_checksum(ByteView page);

struct AtaIdentify {
  std::string serial;  // clean_device_text()
  std::string firmware;
  std::string model;
  std::optional<std::uint64_t> wwn;
  std::uint64_t sectors = 0;           // that can be addressed, of logical_sector bytes each
  std::uint32_t logical_sector = 512;  // bytes
  std::uint32_t physical_sector = 512;
  std::optional<unsigned> rotation;  // revolutions a minute; 0 without moving parts
  bool smart_supported = false;
  bool smart_enabled = false;
  bool hides_areas = false;  // it knows how to (host protected area)
  bool locked = false;       // by an ATA password: it reads and writes nothing

  std::uint64_t bytes() const { return sectors * logical_sector; }
};

// Throws FormatError for another length, a wrong checksum, a packet device (optical), or a page
// that tells no capacity.
AtaIdentify parse_ata_identify(ByteView page);

}  // namespace driveprep::inventory

// The metadata entry that tells where the first bytes of the file system went.
#pragma once

#include <cstdint>
#include <optional>

#include "base/units.h"
#include "bitlocker/entry.h"
#include "bitlocker/layout.h"

namespace driveprep::bitlocker {

// What Windows 8 and later append; only the fields that somebody reads.
struct RelocationExtension {
  std::uint64_t flags = 0;
  std::uint32_t sector_size = 0;
  std::uint64_t reserved_offset = 0;  // region D
  std::uint32_t reserved_size = 0;

  // Unfinished encrypt-on-write volumes have bit 6, finished To Go volumes too, with bit 11. Seen
  // in six volumes and documented nowhere (unverified); asked only where the header does not tell.
  bool says_converting() const { return (flags & 0x40) != 0 && (flags & 0x800) == 0; }
};

struct Relocation {
  std::uint64_t offset = 0;  // B
  std::uint64_t size = 0;    // bytes
  std::optional<RelocationExtension> extension;
};

// nullopt when the entry is not a relocation entry.
std::optional<Relocation> parse_relocation(const Entry& entry);
// The entry of a new volume, with the extension.
Entry make_relocation(const VolumeLayout& layout);

}  // namespace driveprep::bitlocker

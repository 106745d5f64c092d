// The first sector of a BitLocker volume: who it is and where its metadata lies.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "base/units.h"

namespace driveprep::bitlocker {

enum class VolumeKind {
  kNone,        // no BitLocker volume
  kVista,       // the first generation, not read
  kNtfs,        // Windows 7 and later
  kToGo,        // removable media with a FAT discovery volume in front
  kConverting,  // encrypt-on-write: Windows has not finished encrypting it
};

struct VolumeHeader {
  VolumeKind kind = VolumeKind::kNone;
  std::uint32_t bytes_per_sector = 0;  // as on disk: 0 on exFAT
  std::uint64_t cluster_size = 0;      // bytes; 0 when not stated
  std::array<std::uint64_t, 3> metadata{};
};

// `sector`: the first 512 bytes of the volume. Never fails: what is not recognised is kNone.
VolumeHeader parse_volume_header(ByteView sector);

// The header of a new volume: 512 bytes. `ntfs_boot_sector`: the plain one; its geometry fields are
// taken over. Boot code and messages are not: the drive holds data only.
Bytes make_volume_header(ByteView ntfs_boot_sector, const std::array<std::uint64_t, 3>& metadata);

}  // namespace driveprep::bitlocker

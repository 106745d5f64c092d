// Where a BitLocker volume keeps what is its own, and who owns that space inside NTFS.
//
// All offsets are bytes from the start of the volume (the partition).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/units.h"

namespace driveprep::bitlocker {

inline constexpr std::uint64_t kMetadataSize = 64 * kKiB;   // one copy; there are three
inline constexpr std::uint64_t kBootRegionSize = 8 * kKiB;  // the first bytes of NTFS, relocated
inline constexpr std::uint64_t kReservedSize = 64 * kKiB;   // region D of Windows 8 and later

// A piece of the volume that a hidden file in "System Volume Information" owns.
struct ReservedFile {
  std::string name;
  // Starts on a cluster; its length is the file's size. Rounded up to whole clusters, the ranges of
  // all reserved files are still disjoint. The logical content of the copies and of the relocated
  // boot region reads as zeros and must not be written.
  ByteRange range;
  friend bool operator==(const ReservedFile&, const ReservedFile&) = default;
};

struct VolumeLayout {
  std::uint64_t volume_size = 0;
  SectorSize sector_size;
  std::uint64_t cluster_size = 0;  // bytes; 0 when a volume without its header was opened
  std::array<std::uint64_t, 3> metadata{};
  std::uint64_t header_backup = 0;                     // B: the relocated first bytes of NTFS
  std::uint64_t header_backup_size = kBootRegionSize;  // larger on To Go volumes
  std::optional<std::uint64_t> reserved;               // D: absent on Windows 7 volumes

  // The five files that own the space, in the order copies 1..3, B, D.
  std::vector<ReservedFile> reserved_files() const;
  // The four ranges that read as zeros and are never written through the encryption.
  std::array<ByteRange, 4> hidden_ranges() const;

  friend bool operator==(const VolumeLayout&, const VolumeLayout&) = default;
};

// The smallest volume a layout is made for. (A drive of 64 MiB, the least that Windows takes, keeps
// 2 MiB of it for its partition tables.)
inline constexpr std::uint64_t kSmallestVolume = 61 * kMiB;

// Chooses the places by the rule of Windows 10: the first copy, B and D together at 33 MiB, the
// other copies a ninth of the volume further each; whatever is in the way of `occupied` moves up to
// the next free place. Every place starts on a cluster and lies inside the clusters of the volume.
// `volume_size`: a multiple of the sector size. `cluster_size`: a power of two, 512 bytes to 2 MiB,
// not smaller than a sector. `occupied`: in any order, may overlap.
// Throws kRefused "volume-too-small" below kSmallestVolume or when there is no free place.
VolumeLayout place_metadata(std::uint64_t volume_size, SectorSize sector_size,
                            std::uint64_t cluster_size, std::span<const ByteRange> occupied);

}  // namespace driveprep::bitlocker

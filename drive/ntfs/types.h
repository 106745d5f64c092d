// The words the NTFS module shares: what a volume looks like, times and places of files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file_time.h"
#include "base/units.h"

namespace driveprep::ntfs {

// Windows file attribute bits.
inline constexpr std::uint32_t kAttributeReadOnly = 0x1;
inline constexpr std::uint32_t kAttributeHidden = 0x2;
inline constexpr std::uint32_t kAttributeSystem = 0x4;
inline constexpr std::uint32_t kAttributeDirectory = 0x10;  // set here for directories
inline constexpr std::uint32_t kAttributeArchive = 0x20;
inline constexpr std::uint32_t kAttributeSparse = 0x200;
inline constexpr std::uint32_t kAttributeReparsePoint = 0x400;
inline constexpr std::uint32_t kAttributeCompressed = 0x800;
inline constexpr std::uint32_t kAttributeEncrypted = 0x4000;

// What the boot sector says. Offsets are bytes from the start of the volume.
struct Geometry {
  SectorSize sector;
  std::uint32_t cluster_size = 0;  // bytes, 4096 to 65536, a power of two
  std::uint32_t record_size = 0;   // bytes of one $MFT record: 1024, or 4096 on 4Kn
  std::uint64_t total_clusters = 0;
  Cluster mft;         // first cluster of $MFT
  Cluster mft_mirror;  // first cluster of $MFTMirr
  std::uint64_t serial = 0;

  std::uint64_t offset_of(Cluster cluster) const { return cluster.value * cluster_size; }
  friend bool operator==(const Geometry&, const Geometry&) = default;
};

// The three times of a file that are kept; the fourth (change of the record) is when it was written.
struct FileTimes {
  FileTime creation;
  FileTime modification;
  FileTime access;
  friend bool operator==(const FileTimes&, const FileTimes&) = default;
};

// A file whose place on the volume is given from outside: the FVE2.* files that own the areas of
// the encryption's metadata. The range is rounded outwards to whole clusters.
struct ReservedFile {
  std::u16string name;
  ByteRange range;
};

}  // namespace driveprep::ntfs

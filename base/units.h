// Quantities that must not be mixed.
//
// Byte offsets and byte counts are the common currency and are plain std::uint64_t. Everything that
// is *not* bytes is a type of its own and says how it becomes bytes.
#pragma once

#include <compare>
#include <cstdint>

#include "base/error.h"

namespace driveprep {

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;
inline constexpr std::uint64_t kGiB = 1024 * kMiB;
inline constexpr std::uint64_t kTiB = 1024 * kGiB;

// Bytes per logical sector: 512 or 4096, nothing else.
class SectorSize {
 public:
  constexpr SectorSize() = default;
  static bool is_valid(std::uint64_t bytes) { return bytes == 512 || bytes == 4096; }
  explicit SectorSize(std::uint64_t bytes) : bytes_(static_cast<std::uint32_t>(bytes)) {
    require(is_valid(bytes), "a sector size is 512 or 4096");
  }
  constexpr std::uint32_t bytes() const { return bytes_; }
  friend constexpr auto operator<=>(SectorSize, SectorSize) = default;

 private:
  std::uint32_t bytes_ = 512;
};

// A logical block address: a count of sectors from the start of the disk.
struct Lba {
  std::uint64_t value = 0;
  std::uint64_t bytes(SectorSize sector) const { return value * sector.bytes(); }
  friend constexpr auto operator<=>(Lba, Lba) = default;
};

// An NTFS logical cluster number: clusters from the start of the volume.
struct Cluster {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(Cluster, Cluster) = default;
};

// A run of bytes on a device: [offset, offset + length).
struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t end() const { return offset + length; }
  bool overlaps(const ByteRange& other) const {
    return offset < other.end() && other.offset < end();
  }
  bool contains(std::uint64_t at) const { return at >= offset && at < end(); }
  friend constexpr auto operator<=>(const ByteRange&, const ByteRange&) = default;
};

}  // namespace driveprep

// A fresh NTFS volume, made by mkntfs in a memory file and then transferred to its device.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "drive/block/block_device.h"
#include "drive/ntfs/types.h"

namespace driveprep::ntfs {

// Below this mkntfs has no room for its own files.
inline constexpr std::uint64_t kMinVolumeBytes = 2 * kMiB;

struct FormatRequest {
  std::uint64_t volume_bytes = 0;  // the whole partition; a multiple of the sector size
  SectorSize sector;
  Lba partition_start;  // "hidden sectors" of the boot sector; 0 is stored when above 32 bits
  std::string label;    // at most 32 printable ASCII characters; may be empty
  std::optional<std::uint32_t> cluster_size;  // 4096..65536; without: as Windows would choose
};

// Moved, not copied: it owns the memory file (clusters / 8 + 65 MiB of memory, not mapped).
class FormattedVolume {
 public:
  const Geometry& geometry() const { return geometry_; }
  // The first sector of the volume, as mkntfs wrote it.
  ByteView boot_sector() const { return boot_sector_; }
  // Clusters in use, ascending, joined, in bytes. Everything else is free.
  const std::vector<ByteRange>& occupied() const { return occupied_; }
  std::uint64_t free_clusters() const { return free_clusters_; }

  // Bytes that copy_to() will write.
  std::uint64_t data_bytes() const;
  // Writes everything the file system relies on (free clusters are left as they are) to `volume`,
  // which has at least the formatted size, in aligned pieces of up to 4 MiB from two threads.
  // Does not flush. `progress`, when given, gets the bytes written so far; it is called from either
  // thread, one call at a time. The first error of either thread is thrown.
  void copy_to(block::BlockDevice& volume,
               const std::function<void(std::uint64_t written)>& progress = {}) const;

 private:
  friend FormattedVolume format_volume(const FormatRequest& request);
  FormattedVolume() = default;

  UniqueFd image_;
  std::uint64_t volume_bytes_ = 0;
  Geometry geometry_;
  Bytes boot_sector_;
  std::vector<ByteRange> occupied_;
  std::vector<ByteRange> data_;  // extents of the memory file that hold data
  std::uint64_t free_clusters_ = 0;
};

// Errors: kUsage "volume-label" (label not printable ASCII or too long), "cluster-size",
// "volume-too-small", "volume-too-large" (more than 2^32 - 1 clusters of 64 KiB); kInternal
// "mkntfs-failed" with its output, "mkntfs-result" when the boot sector is not what was asked for,
// "helper-missing" when mkntfs is not installed.
FormattedVolume format_volume(const FormatRequest& request);

// Reads and checks an NTFS boot sector (at least 512 bytes). Throws an Error of kind kVerification,
// "not-ntfs", naming what is wrong.
Geometry parse_boot_sector(ByteView sector);

}  // namespace driveprep::ntfs

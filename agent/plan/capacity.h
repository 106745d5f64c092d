// How much of a drive a data set can fill, and what each file takes: a conservative model.
//
// A drive loses to data: the partition table (1 MiB at both ends), NTFS's own files ($Bitmap at one
// bit a cluster, $LogFile, $MFT, $UpCase, ...), BitLocker's reserved ranges, and 1 % spare. A file
// takes its data rounded up to clusters, a file record, index space in its directory and its lines
// in the manifest.
#pragma once

#include <cstdint>

namespace driveprep::plan {

// Smallest disk or image that can be prepared.
inline constexpr std::uint64_t kMinDiskBytes = 64ULL << 20;

struct Geometry {
  std::uint32_t cluster_bytes = 4096;
  std::uint32_t record_bytes = 1024;  // an NTFS file record: 1024, or 4096 on 4096-byte sectors
};

// Clusters of 4 KiB up to 16 TiB, then the smallest that stays below 2^32 clusters.
Geometry geometry_of(std::uint64_t disk_bytes, std::uint32_t sector_bytes);

// Bytes left for files, directories and the manifest; 0 for a disk below kMinDiskBytes.
std::uint64_t usable_bytes(std::uint64_t disk_bytes, std::uint32_t sector_bytes);

// Bytes of a disk that do not go to files: what partition table, NTFS and BitLocker take.
std::uint64_t overhead_bytes(std::uint64_t disk_bytes, std::uint32_t sector_bytes);

// `name_units`: length of the name on NTFS in UTF-16 units; `path_bytes`: length of blob path and
// file path together in UTF-8.
std::uint64_t file_cost(std::uint64_t size, std::uint64_t name_units, std::uint64_t path_bytes,
                        const Geometry& geometry);
// A directory: its record, its entry in the parent and its first index block.
std::uint64_t directory_cost(std::uint64_t name_units, const Geometry& geometry);

}  // namespace driveprep::plan

// How a file lies on the volume, read from and put into its record. Internal to this module.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "drive/ntfs/library.h"
#include "drive/ntfs/types.h"
#include "drive/ntfs/volume_reader.h"

namespace driveprep::ntfs::library {

enum class Content { kSkip, kRead };

// What the record of `inode` says. kRead: the bytes of a resident file are read too. Throws
// kVerification "file-layout" for compressed, encrypted or sparse data.
FileInfo read_info(Mount& mount, ntfs_inode* inode, Content content);

// A stretch of an attribute's data in file order: whole clusters, or a hole, which reads as zeros.
struct Run {
  std::optional<std::uint64_t> offset;  // bytes from the start of the volume; nullopt: a hole
  std::uint64_t length = 0;             // bytes
};

// The runs of one attribute, neighbours joined; empty when it is resident.
std::vector<Run> read_runs(Mount& mount, ntfs_attr* attribute);

// Clusters of one attribute's data in file order, neighbours joined. Throws kVerification
// "file-layout" for a hole.
std::vector<ByteRange> read_ranges(Mount& mount, ntfs_attr* attribute);

// Gives the freshly created, empty file `inode` these whole clusters. Their bits in $Bitmap are the
// caller's business.
void assign_ranges(Mount& mount, ntfs_inode* inode, std::uint64_t size,
                   std::span<const ByteRange> ranges, std::uint64_t valid_length);

// Gives an empty non-resident attribute these whole clusters.
void assign_clusters(Mount& mount, ntfs_attr* attribute, std::span<const ByteRange> ranges,
                     std::uint64_t size, std::uint64_t valid_length);

// Writes the sizes of a non-resident attribute, in bytes, into its record and into `attribute`.
void set_sizes(Mount& mount, ntfs_attr* attribute, std::uint64_t allocated, std::uint64_t size,
               std::uint64_t valid_length);

// Adds clusters behind the last one of a non-resident attribute; its size stays.
void extend_allocation(Mount& mount, ntfs_attr* attribute, ByteRange range);

// Changes how much of a non-resident file is valid.
void change_valid_length(Mount& mount, ntfs_inode* inode, std::uint64_t valid_length);

void set_times(Mount& mount, ntfs_inode* inode, const FileTimes& times);

}  // namespace driveprep::ntfs::library

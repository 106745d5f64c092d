// Opens the unnamed data of a file to be read. Internal to this module.
#pragma once

#include <memory>

#include "drive/block/block_device.h"
#include "drive/ntfs/file_reader.h"
#include "drive/ntfs/library.h"

namespace driveprep::ntfs::library {

// Resident data is copied; data in clusters is read from `device` past the library, in as long runs
// as it has, small files through `small`; compressed data goes through the library. The arguments
// must outlive the reader. `inode` must not be encrypted or a reparse point.
std::unique_ptr<FileReader> open_data(Mount& mount, const block::ReadableDevice& device,
                                      Storage& small, Inode inode);

}  // namespace driveprep::ntfs::library

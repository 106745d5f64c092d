// A BitLocker volume with an empty NTFS in it: made in memory first, because the file system
// decides where the metadata can lie, and the metadata what the file system must keep away from.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bitlocker/create.h"
#include "bitlocker/encrypted_device.h"
#include "drive/block/block_device.h"
#include "drive/ntfs/format.h"
#include "drive/ntfs/types.h"

namespace driveprep::volume {

struct EmptyVolume {
  ntfs::FormattedVolume formatted;
  bitlocker::VolumeLayout layout;
  bitlocker::CreatedVolume created;
};

// What Windows shows of a volume when it asks for the key, as it says it itself: computer, label,
// date.
std::string default_description(const std::string& label);

// Nothing is written. `make_keys` runs beside the formatting: both take a second or more of one
// core. Errors: of format_volume(), NewVolume and place_metadata().
EmptyVolume make_empty_volume(const ntfs::FormatRequest& format,
                              const std::function<bitlocker::NewVolume()>& make_keys);

// Writes header-less what was made: zeros in the place of the volume header, the three copies of
// the metadata, the empty file system, and encrypted zeros in region D; flushed. `place` is the
// partition, `plain` the same through the encryption. What is then missing are the files that own
// the places of the metadata (reserved_files()) and the volume header (write_boot_region()).
void write_empty_volume(const EmptyVolume& volume, block::BlockDevice& place,
                        bitlocker::EncryptedDevice& plain);

// The files that keep NTFS away from what is BitLocker's, for ntfs::VolumeWriter::reserve().
std::vector<ntfs::ReservedFile> reserved_files(const bitlocker::VolumeLayout& layout);

// All of it, the volume header last: until then nothing takes `target` for a volume. Everything is
// read back before files go into it, before the header is written, and at the end. Throws
// kVerification "create-differs" when something is not there any more.
void write_whole_volume(const EmptyVolume& volume, block::BlockDevice& target);

}  // namespace driveprep::volume

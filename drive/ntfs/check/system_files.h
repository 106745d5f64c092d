// Files of the file system's own that nothing else on the volume depends on. Internal.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "drive/block/block_device.h"
#include "drive/ntfs/check/index_walk.h"
#include "drive/ntfs/volume_reader.h"

namespace driveprep::ntfs::check {

// Each throws Inconsistency.

// Against its copy in the last sector of the volume.
void check_boot_sector(const block::ReadableDevice& volume);
// $MFTMirr against the first records of $MFT.
void check_mirror(const block::ReadableDevice& volume, VolumeReader& reader);
// $UpCase, which orders the names of every directory.
void check_upcase(const block::ReadableDevice& volume, VolumeReader& reader,
                  const std::vector<char16_t>& expected);
// $AttrDef: which attributes there are.
void check_definitions(const block::ReadableDevice& volume, VolumeReader& reader);
// $LogFile: empty, so that Windows has nothing to repeat; unless Windows has begun one of its own.
void check_log(const block::ReadableDevice& volume, VolumeReader& reader);
// The permissions in $Secure: both copies, the index of them, and that there are all that records
// name. `by_id`: the index $SII.
void check_security(const StoredAttribute& descriptors, const Index& by_id,
                    const std::set<std::uint32_t>& named, library::Storage& volume,
                    const Geometry& geometry);

}  // namespace driveprep::ntfs::check

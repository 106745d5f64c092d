// Whether a finished NTFS volume is whole, as far as the volume itself can tell.
//
// Reading files back proves their data and what leads to it. The rest of the file system ($Bitmap,
// $MFTMirr, permissions, the copy of the boot sector, ...) is missed by no reader before Windows
// writes to the volume or checks it. This needs no memory of what was written, nor the library but
// for where its own files are: each structure is held against the others.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "drive/block/block_device.h"
#include "drive/ntfs/volume_reader.h"

namespace driveprep::ntfs {

// Looks at all records and indexes, and at the files of the file system's own:
//
//   every record and index block is of one write, and well-formed
//   no cluster has two owners; $Bitmap marks those that have one, and no others
//   $MFT's bitmap marks the records in use, and no others
//   each name in a record is in its directory, with the right reference, and the other way round
//   each index is in its order, all its blocks hang in one tree, and its bitmap marks them
//   a file that needs several records has them all
//   the boot sector and $MFTMirr equal what they copy; $UpCase, $AttrDef, $LogFile, $Secure
//
// nullopt when nothing is wrong, or when `stop` was set; otherwise the first thing that is, as part
// of a sentence. `reader`: of the same volume. Throws what reading throws. Memory: 5 bytes a
// record, and about 100 for each stretch of clusters in use.
std::optional<std::string> find_inconsistency(const block::ReadableDevice& volume,
                                              VolumeReader& reader,
                                              const std::atomic<bool>* stop = nullptr);

}  // namespace driveprep::ntfs

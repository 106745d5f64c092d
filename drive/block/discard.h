// Telling a disk that it may forget what it holds.
#pragma once

#include "base/units.h"
#include "drive/block/file_device.h"

namespace driveprep::block {

// BLKDISCARD for whole sectors of a disk. No proof of anything: the disk may ignore it, and what it
// gives back then is its own affair. Throws kWrite "discard-failed".
void discard(FileDevice& disk, const ByteRange& range);

}  // namespace driveprep::block

// Is the disk that was opened still connected? Asked after an error: what the kernel says of an
// unplugged disk depends on the bus (EIO, ENODEV, ENODATA, and ENOSPC where its size became 0).
#pragma once

#include "drive/inventory/disk_facts.h"

namespace driveprep::inventory {

// Whether the kernel has no disk of this number and sequence any more. What is being removed counts
// as gone after a moment only, so this takes up to three seconds for a disk that is there.
bool is_gone(const Sysfs& sysfs, const DiskHandle& handle);

}  // namespace driveprep::inventory

// Is the disk that was opened still connected? Asked after an error: what the kernel says of an
// unplugged disk depends on the bus (EIO, ENODEV, ENODATA, and ENOSPC where its size became 0).
#pragma once

#include <chrono>
#include <string>

#include "drive/inventory/disk_facts.h"

namespace driveprep::inventory {

// USB bridges reset before the kernel gives the disk up: 1.2 s were seen.
inline constexpr std::chrono::milliseconds kPresencePatience{3000};

// In which way the disk of this number and sequence is lost, in words; "" while it is there. What
// is being removed, reset or set up anew is given `patience` to become one or the other, so this
// takes as long for a disk that is there.
std::string departure(const Sysfs& sysfs, const DiskHandle& handle,
                      std::chrono::milliseconds patience = kPresencePatience);

}  // namespace driveprep::inventory

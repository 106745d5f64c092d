// Who does what in a run with root's rights: disks are opened by a process of its own, everything
// else is done as the user who called.
#pragma once

#include "drive/guard/disk_opener.h"
#include "drive/inventory/sysfs.h"

namespace driveprep::cli {

// First thing in main. For commands that deal with disks, and only when the program has root's
// rights: starts the process that opens disks; then this one becomes the user who called sudo.
// Commands on image files never need it. Throws kInternal "privileges", "opener-lost".
void separate_privileges(int argc, char** argv);

// Through that process where there is one, else with this one's rights.
guard::DiskOpener& disk_opener();

// What the kernel tells of this machine, with the mounts that only root may list.
inventory::Sysfs machine_files();

}  // namespace driveprep::cli

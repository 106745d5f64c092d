// The drives that this user has finished, of all jobs: one of them is not prepared again by
// mistake.
//
// A line a drive in $XDG_STATE_HOME/driveprep/prepared-drives.jsonl: {"serial", "disk_guid", "job",
// "finished"}. A drive counts for as long as the partition table with that disk GUID is on it.
#pragma once

#include <string>
#include <vector>

#include "drive/guard/machine.h"

namespace driveprep::prepare {

// Empty when there is no such file. Throws kUsage "prepared-drives-unreadable": not knowing is not
// knowing that there is none. Lines that are cut off or of another form are passed over.
std::vector<guard::PreparedDrive> prepared_drives();

// Durable. Throws kWrite when it cannot be kept.
void keep_prepared_drive(const guard::PreparedDrive& drive);

}  // namespace driveprep::prepare

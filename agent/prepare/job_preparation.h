// All drives of a job, side by side: one failing does not stop the others.
#pragma once

#include <functional>
#include <vector>

#include "agent/prepare/drive_preparation.h"

namespace driveprep::prepare {

struct DriveTask {
  std::size_t drive_index = 0;  // in the plan
  guard::VettedDrive vetted;
  report::DriveProgress* progress = nullptr;
};

// Prepares the drives in parallel and returns their outcomes in the order of the tasks. The memory
// for data buffers is shared out between them.
std::vector<DriveOutcome> prepare_drives(PrepareContext context,
                                         const std::vector<DriveTask>& tasks);

// The exit status for a set of results: 0, the one kind that all failures share when every drive
// failed, else kSomeDrivesFailed.
int exit_status(std::size_t drives, const std::vector<ErrorKind>& failures);

}  // namespace driveprep::prepare

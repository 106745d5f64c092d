// The checks of bodies.h that need the drives.
#pragma once

#include <vector>

#include "agent/request/parameters.h"

namespace driveprep::request {

// Throws the codes request-no-drives, request-too-many-drives and request-drive-invalid.
void check_drives(const std::vector<DriveEntry>& drives);

}  // namespace driveprep::request

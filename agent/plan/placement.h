// Decides which drive each file of a draft goes to. Files are placed whole.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/plan/plan_draft.h"

namespace driveprep::plan {

struct DriveRoom {
  std::string drive_id;
  std::uint64_t disk_bytes = 0;
  std::uint64_t usable = 0;  // bytes for files and directories
};

// Fills scan.placement (left empty with one drive, which takes everything); returns the bytes taken
// on each drive, by the model of capacity.h. Throws "not-enough-space" with the numbers of every
// drive, kUsage.
std::vector<std::uint64_t> place_files(PlanDraft& draft, const std::vector<DriveRoom>& drives);

}  // namespace driveprep::plan

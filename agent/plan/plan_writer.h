// Turns a placed draft into the final tables: files numbered in the order of writing, the
// directories of each drive, attachments, sums, and the digest over all of it.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/job/job_directory.h"
#include "agent/plan/build_plan.h"
#include "agent/plan/plan_draft.h"

namespace driveprep::plan {

// `taken`: estimated bytes on each drive.
void write_plan(PlanDraft& draft, const job::Job& job, const std::vector<DriveInput>& drives,
                const std::vector<std::uint64_t>& taken);

}  // namespace driveprep::plan

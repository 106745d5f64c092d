// Names of one directory that are one name to Windows: finds them, reports two files with the same
// destination, and gives substitutes to all but one of those that differ only in case.
#pragma once

#include "agent/plan/plan_draft.h"

namespace driveprep::plan {

void resolve_name_collisions(PlanDraft& draft, const job::Dataset& dataset, bool substitute_names);

}  // namespace driveprep::plan

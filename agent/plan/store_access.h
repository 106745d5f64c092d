// What the maker of a plan and its reader share and nobody else needs.
#pragma once

#include <cstdint>
#include <memory>

#include "agent/journal/sqlite.h"
#include "agent/plan/plan_store.h"

namespace driveprep::plan {

// The id of the session directory; ids of directories count up from it.
inline constexpr std::int64_t kSessionDirectory = 1;

// A store on an open connection to a finished plan.
PlanStore build_plan_store(std::unique_ptr<journal::Database> database);

}  // namespace driveprep::plan

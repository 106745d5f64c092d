// What came of the drives, for people and scripts, and the exit status that follows from it.
#pragma once

#include <chrono>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/journal/journal.h"
#include "agent/plan/plan_store.h"
#include "agent/prepare/drive_preparation.h"
#include "agent/report/drive_progress.h"

namespace driveprep::cli {

struct OutcomeReport {
  std::string job;   // as it was given
  std::string path;  // absolute
  std::string name;
  bool json = false;
  const plan::PlanStore& plan;
  const journal::Journal& journal;
  const std::vector<prepare::DriveOutcome>& outcomes;
  const std::deque<report::DriveProgress>& progress;  // of the outcomes, in the same order
  std::chrono::seconds elapsed{0};
};

// Prints and returns the exit status of `prepare`.
int report_outcomes(const OutcomeReport& report);

// "every block equal, 1,024 blocks, 4.3 GB, page cache bypassed".
std::string verification_text(const prepare::VerifyReport& report);
nlohmann::ordered_json verification_json(const prepare::VerifyReport& report);

}  // namespace driveprep::cli

// A plan as text and as JSON, for `plan` and `prepare`.
#pragma once

#include <nlohmann/json.hpp>

#include "agent/plan/build_plan.h"
#include "agent/plan/plan_store.h"
#include "agent/report/sizes.h"

namespace driveprep::cli {

nlohmann::ordered_json plan_json(const plan::PlanStore& plan);
// Drives, totals, findings, digest.
void print_plan(const plan::PlanStore& plan);

// Tells on a terminal how far the scan of the sources is, in one line that vanishes with the
// object.
class ScanNote {
 public:
  ScanNote();
  ScanNote(const ScanNote&) = delete;
  ScanNote& operator=(const ScanNote&) = delete;
  ~ScanNote();
  // Refers to this object.
  plan::ScanProgress progress();

 private:
  bool terminal_ = false;
  bool shown_ = false;
};

}  // namespace driveprep::cli

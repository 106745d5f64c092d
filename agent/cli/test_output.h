// What came of `driveprep test`, for people and for scripts.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/intake/sample_test.h"
#include "drive/guard/drive_target.h"

namespace driveprep::cli {

struct TestReport {
  const guard::Candidate& drive;
  intake::Coverage coverage = intake::Coverage::kSample;
  const intake::SampleResult& sample;
  bool cache_bypassed = false;  // while it was read back
  std::optional<inventory::Health> before;
  std::optional<inventory::Health> after;
  std::vector<std::string> warnings;
  // Against the drive; empty: none, as far as it was tested.
  std::vector<guard::Reason> reasons = {};

  bool stopped() const { return sample.stopped && reasons.empty(); }
  bool passed() const { return !sample.stopped && reasons.empty(); }
};

std::string test_text(const TestReport& report);
nlohmann::ordered_json test_json(const TestReport& report, int exit_status);

}  // namespace driveprep::cli

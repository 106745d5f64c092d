// What the intake test says about a drive: from measurements to reasons, and nothing else.
//
// Reason codes, with the kind of the Error:
//   drive-fake-capacity    verification  it has less memory than it says
//   sample-differs         verification  something came back with other bytes
//   sample-unreadable      verification  something could not be read back
//   drive-deteriorated     health        SMART counts have grown during the test
//   drive-health-silent    health        SMART told something before the test that it no longer
//   tells and the code of the error that ended the writing
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/intake/sample_test.h"
#include "drive/guard/verdict.h"

namespace driveprep::intake {

// The size of a drive that has less than it says, as far as the test can tell.
struct TrueSize {
  std::uint64_t at_least = 0;  // bytes
  std::uint64_t at_most = 0;
};

// nullopt: nothing speaks against what the drive says.
std::optional<TrueSize> true_size(const SampleResult& sample);

// SMART before and after, in words; "" for nothing.
struct HealthChange {
  std::string worse;   // what is counted more of than before
  std::string untold;  // what was told before and is no longer
};

// Everything that speaks against the drive, the worst first; empty: it has passed, as far as the
// sample went. A stop is no reason.
std::vector<guard::Reason> conclude(const std::string& name, const SampleResult& sample,
                                    const HealthChange& health);

// "131 kB at offset 1,234,944 read as zeros", ...
std::string describe(const Finding& finding);

}  // namespace driveprep::intake

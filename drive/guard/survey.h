// A look at all drives of the machine: what they are, what is on them, and what speaks against
// them. Everything is opened for reading only.
#pragma once

#include <string>
#include <vector>

#include "drive/guard/machine.h"

namespace driveprep::guard {

struct SurveyedDisk {
  DiskCase disk;
  Verdict verdict;  // as if a job named it by its serial number, and the operator had confirmed it
  std::vector<std::string> warnings;

  bool ready() const { return verdict.allowed(); }
};

// Every disk of the machine, by kernel name. What is on them is told by their signatures alone: no
// disk is searched for unknown data before it is prepared.
std::vector<SurveyedDisk> survey(const Machine& machine);

}  // namespace driveprep::guard

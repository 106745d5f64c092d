// A look at all drives of the machine: what they are, what is on them, and what speaks against
// them. Everything is opened for reading only.
#pragma once

#include <string>
#include <vector>

#include "drive/guard/disk_policy.h"

namespace driveprep::guard {

struct SurveyedDisk {
  DiskCase disk;
  Verdict verdict;  // as if a job named it by its serial number, and the operator had confirmed it
  std::vector<std::string> warnings;

  bool ready() const { return verdict.allowed(); }
};

// Every whole disk but those that hold no medium, by kernel name; also loop devices, mappings and
// arrays, which the verdict tells from drives. Throws kBusy "sysfs-unreadable" when the devices
// cannot be listed: an empty list would say that there is nothing.
std::vector<SurveyedDisk> survey(const inventory::Sysfs& sysfs = inventory::Sysfs());

}  // namespace driveprep::guard

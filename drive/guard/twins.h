// Two disks with one serial number: it would not say which of them is meant.
#pragma once

#include <string>
#include <vector>

#include "drive/inventory/disk_facts.h"

namespace driveprep::guard {

// The other disks of the machine that tell the serial number of this one, by any of their words; as
// kernel names. Unreadable where another disk could not be asked: it may be the twin.
inventory::Fact<std::vector<std::string>> twins_of(const inventory::DiskFacts& disk,
                                        const std::vector<inventory::DiskFacts>& all);

}  // namespace driveprep::guard

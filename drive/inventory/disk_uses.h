// What a disk is used for: mounts, swap, and what is made of it.
#pragma once

#include <vector>

#include "drive/inventory/disk_facts.h"

namespace driveprep::inventory {

// Of the disk, its partitions, and everything that is stacked upon them. Throws what could not be
// read: an unknown use is no "unused".
std::vector<Use> uses_of(const BlockNode& disk, const BlockTree& tree, const MountTable& mounts);

}  // namespace driveprep::inventory

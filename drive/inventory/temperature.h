// How hot a disk is, by the kernel's word: what NVMe controllers and, with the module drivetemp,
// SATA disks tell it.
#pragma once

#include <filesystem>
#include <optional>

namespace driveprep::inventory {

// Whole degrees Celsius. `disk`: its directory in sysfs. nullopt: the kernel has no sensor of it,
// or it does not answer. Format: Documentation/hwmon/sysfs-interface of Linux, temp1_input.
std::optional<int> kernel_celsius(const std::filesystem::path& disk);

}  // namespace driveprep::inventory

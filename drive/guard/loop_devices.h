// Which loop device, if any, is made of a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace driveprep::guard {

// The name of an active loop device ("loop3") that the file (st_dev, st_ino) backs; empty when none
// does. `path` and `size` tell the file apart when a backing file cannot be looked at from here.
// Throws Error kRefused "loop-unreadable" when that is not enough to be sure.
std::string loop_device_of(std::uint64_t device, std::uint64_t inode,
                           const std::filesystem::path& path, std::uint64_t size,
                           const std::filesystem::path& sysfs = "/sys");

}  // namespace driveprep::guard

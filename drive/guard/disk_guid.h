// The disk GUID of the partition table that is on a target already.
#pragma once

#include <cstdint>
#include <string>

#include "base/units.h"

namespace driveprep::guard {

// Of a valid GPT, lower case; "" when there is none. `fd`: open for reading, of `size` bytes; it is
// not taken over.
std::string disk_guid_of(int fd, const std::string& name, std::uint64_t size, SectorSize sector);

}  // namespace driveprep::guard

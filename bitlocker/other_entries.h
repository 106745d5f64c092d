// Entries of the metadata that are kept and not understood.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/guid.h"
#include "bitlocker/metadata.h"

namespace driveprep::bitlocker {

struct OtherEntry {
  Role role{};
  ValueType type{};
  std::size_t size = 0;           // bytes, with all that is nested in it
  std::optional<Guid> protector;  // the one that it is part of; none: at the top
};

// In the order of the metadata: at the top what is neither protector, volume key, description nor
// relocation info, a protector that is cut short, and within protectors, however deep, what none of
// their kinds is known to have. What is nested in such an entry is not listed beside it.
std::vector<OtherEntry> other_entries(const Metadata& metadata);

}  // namespace driveprep::bitlocker

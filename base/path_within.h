// Whether one path lies in another, by their names alone.
#pragma once

#include <algorithm>
#include <filesystem>

namespace driveprep {

// True also when they are the same. Both are canonical, or at least of one form.
inline bool is_within(const std::filesystem::path& inner, const std::filesystem::path& outer) {
  const auto [end, unused] = std::ranges::mismatch(outer, inner);
  // A trailing separator leaves an empty last component.
  return end == outer.end() || end->empty();
}

}  // namespace driveprep

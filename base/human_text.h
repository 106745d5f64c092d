// Sizes, counts and names as people read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace driveprep {

// "512 B", "1.5 GB": decimal units, as on the label of a drive.
std::string human_bytes(std::uint64_t bytes);
// "1,234,567".
std::string human_count(std::uint64_t count);
// "1 file", "1,234 files".
std::string counted(std::uint64_t count, const std::string& noun);
// "12 s", "3 min 05 s", "2 h 10 min".
std::string human_duration(std::chrono::seconds duration);

// Controls of the direction of writing: in a name they let a terminal show another one.
constexpr bool changes_direction(char16_t unit) {
  return unit == 0x061C || unit == 0x200E || unit == 0x200F || (unit >= 0x202A && unit <= 0x202E) ||
         (unit >= 0x2066 && unit <= 0x2069);
}

}  // namespace driveprep

#include "keywrap/recovery_password.h"

#include <cstddef>

namespace driveprep::keywrap {

bool is_recovery_password(std::string_view text) {
  constexpr std::size_t kGroups = 8;
  constexpr std::size_t kDigits = 6;
  if (text.size() != kGroups * (kDigits + 1) - 1) return false;
  for (std::size_t group = 0; group < kGroups; ++group) {
    unsigned value = 0;
    const std::size_t start = group * (kDigits + 1);
    for (std::size_t i = start; i < start + kDigits; ++i) {
      if (text[i] < '0' || text[i] > '9') return false;
      value = value * 10 + static_cast<unsigned>(text[i] - '0');
    }
    if (value % 11 != 0 || value / 11 > 65535) return false;
    if (group + 1 < kGroups && text[start + kDigits] != '-') return false;
  }
  return true;
}

}  // namespace driveprep::keywrap

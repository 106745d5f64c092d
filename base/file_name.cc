#include "base/file_name.h"

#include "base/ascii.h"

namespace driveprep {

std::string file_name_part(std::string_view text) {
  constexpr std::size_t kMost = 64;
  std::string name;
  for (const char c : text) {
    if (name.size() == kMost) break;
    const bool inside = !name.empty() && name != "_";
    if (ascii::is_alphanumeric(c) || c == '_' || (inside && (c == '.' || c == '-'))) {
      name += c;
    } else if (!name.ends_with('_')) {
      name += '_';
    }
  }
  return name.empty() || name == "_" ? "unnamed" : name;
}

}  // namespace driveprep

#include "agent/erase/method.h"

#include <algorithm>
#include <array>

namespace driveprep::erase {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"overwrite", "discard", "metadata"};

}  // namespace

std::string_view to_string(Method method) { return kNames.at(static_cast<std::size_t>(method)); }

std::optional<Method> method_from(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Method>(found - kNames.begin());
}

}  // namespace driveprep::erase

#include "agent/cli/shell_word.h"

#include <algorithm>
#include <string_view>

#include "base/ascii.h"

namespace driveprep::cli {

std::string shell_word(const std::string& argument) {
  constexpr std::string_view kPlain = "%+,-./:=@_";
  const bool plain = !argument.empty() && std::ranges::all_of(argument, [&](char c) {
    return ascii::is_alphanumeric(c) || kPlain.find(c) != std::string_view::npos;
  });
  if (plain) return argument;
  std::string text = "'";
  for (const char c : argument) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

}  // namespace driveprep::cli

#include "base/user_directories.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

namespace driveprep {

std::optional<std::filesystem::path> user_directory(const char* variable, const char* below_home) {
  const char* named = std::getenv(variable);
  if (named != nullptr && named[0] == '/') return named;
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return std::filesystem::path(home) / below_home;
  const passwd* user = ::getpwuid(::geteuid());
  if (user == nullptr || user->pw_dir[0] != '/') return std::nullopt;
  return std::filesystem::path(user->pw_dir) / below_home;
}

}  // namespace driveprep

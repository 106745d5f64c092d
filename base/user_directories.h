// Where programs keep what belongs to a user: the XDG Base Directory specification.
#pragma once

#include <filesystem>
#include <optional>

namespace driveprep {

// The directory that the environment variable names (a relative value is ignored, as the standard
// says), else `below_home` in the home directory; nullopt for a user who has none.
//   user_directory("XDG_STATE_HOME", ".local/state")
std::optional<std::filesystem::path> user_directory(const char* variable, const char* below_home);

}  // namespace driveprep

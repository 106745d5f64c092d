// Directories whose names survive a power cut.
#pragma once

#include <filesystem>

#include "base/error.h"

namespace driveprep {

// Makes `directory` and its missing parents, with the process's usual mode, and their names
// durable. What exists already is left as it is. kind/"create-failed".
void create_directories_durably(const std::filesystem::path& directory, ErrorKind kind);

}  // namespace driveprep

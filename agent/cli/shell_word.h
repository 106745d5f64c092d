// Commands that are printed to be run.
#pragma once

#include <string>

namespace driveprep::cli {

// An argument as a shell takes it: as it is, or in single quotes.
std::string shell_word(const std::string& argument);

}  // namespace driveprep::cli

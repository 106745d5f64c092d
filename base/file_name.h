// Text from elsewhere, such as a serial number, as a part of a file's name.
#pragma once

#include <string>
#include <string_view>

namespace driveprep {

// Letters, digits, '.', '_' and '-' stay, up to 64 of them; of the rest each run becomes one '_'.
// It never starts with '.' or '-', and is "unnamed" when nothing is left. Different texts may
// become the same.
std::string file_name_part(std::string_view text);

}  // namespace driveprep

// Texts that a device says of itself.
#pragma once

#include <string>
#include <string_view>

namespace driveprep::inventory {

// Printable ASCII only, blanks trimmed at both ends and collapsed within: bridges pad, repeat and
// garble what they pass on, and what is shown to an operator must not control the terminal.
std::string clean_device_text(std::string_view raw);

// Whether a serial number tells one drive from another: at least four characters, not one character
// over and over, and none of the rows that makers of bridges leave in their firmware.
bool is_telling_serial(std::string_view serial);

}  // namespace driveprep::inventory

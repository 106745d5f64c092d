// What driveprep's own codes about keys mean: those that are no condition of a key which a service
// has a name for (keywrap/condition.h).
#pragma once

#include <span>
#include <string_view>

namespace driveprep::cli {

struct OwnKeyCode {
  std::string_view code;
  std::string_view cause;
  std::string_view remedy;
};

std::span<const OwnKeyCode> own_key_codes();

}  // namespace driveprep::cli

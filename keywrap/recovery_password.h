// The arithmetic of the 48-digit recovery password, enough to refuse one that cannot be right.
#pragma once

#include <string_view>

namespace driveprep::keywrap {

// Eight groups of six digits joined by hyphens; each a multiple of 11 with a quotient of at most
// 65535. Constant time is not needed: the answer is always yes for a password that exists.
bool is_recovery_password(std::string_view text);

}  // namespace driveprep::keywrap

// Foreign text in messages.
#pragma once

#include <string>
#include <string_view>

namespace driveprep::keywrap {

// The beginning of `foreign` on one line of printable ASCII: white space becomes one space, any
// other character a "?", what is beyond `limit` characters "...". Left out as "(...)" is what could
// be a secret: a word of more than 100 characters; 40 and more characters of base64url with upper
// case, lower case and digits among them, as 32 random bytes have; 48 digits that could be a
// recovery password, also with hyphens or blanks between its blocks. GUIDs, versions of keys, host
// names and codes of services stay.
std::string excerpt(std::string_view foreign, std::size_t limit = 120);

}  // namespace driveprep::keywrap

// Foreign text in messages.
#pragma once

#include <string>
#include <string_view>

namespace driveprep::keywrap {

// The beginning of `foreign` on one line of printable ASCII: white space becomes one space, any
// other character a "?", what is beyond `limit` characters "...". A word of more than 100
// characters could be a token or a key: it is left out as "(...)", and so are 48 digits that could
// be a recovery password, also with hyphens or blanks between its blocks.
std::string excerpt(std::string_view foreign, std::size_t limit = 120);

}  // namespace driveprep::keywrap

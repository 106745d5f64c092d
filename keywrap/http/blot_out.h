// Secrets that come back.
#pragma once

#include <string_view>

#include "base/bytes.h"

namespace driveprep::keywrap::http {

// Puts '*' over every occurrence of `secret` in `text`, also where its characters are
// percent-encoded (%2B), escaped as in JSON (\/, \u002b) or written in the other alphabet of
// base64. Secrets of less than four characters are left: they are everywhere.
void blot_out(MutableByteView text, std::string_view secret);

}  // namespace driveprep::keywrap::http

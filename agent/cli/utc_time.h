// Times as people write them on the command line.
#pragma once

#include <string>

#include "keywrap/key_store.h"

namespace driveprep::cli {

// "2026-12-31T23:59:59Z" (RFC 3339, UTC, whole seconds) or "2026-12-31", which is its first second.
// Throws kUsage "time-invalid"; `option` is for the message.
keywrap::UnixSeconds parse_utc_time(const std::string& text, const std::string& option);

// "2026-12-31T23:59:59Z".
std::string utc_text(keywrap::UnixSeconds seconds);

}  // namespace driveprep::cli

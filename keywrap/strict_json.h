// JSON for security decisions: what two readers could understand differently is refused.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace driveprep::keywrap {

// Throws FormatError for text that is not one JSON value of valid UTF-8, for more than `max_bytes`,
// for nesting deeper than 8 and for a member that comes twice in one object.
nlohmann::json parse_strict_json(std::string_view text, std::size_t max_bytes);

}  // namespace driveprep::keywrap

#include "keywrap/strict_json.h"

#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace driveprep::keywrap {

nlohmann::json parse_strict_json(std::string_view text, std::size_t max_bytes) {
  constexpr int kMaxDepth = 8;
  if (text.size() > max_bytes) {
    throw FormatError("it has " + std::to_string(text.size()) + " bytes, more than " +
                      std::to_string(max_bytes));
  }
  // The library takes a NUL for the end, and a byte order mark for nothing.
  if (text.find('\0') != std::string_view::npos || text.starts_with("\xEF\xBB\xBF")) {
    throw FormatError("it is not valid JSON");
  }
  using nlohmann::json;
  std::vector<std::set<std::string>> names;  // of the objects that are open, outermost first
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        if (depth > kMaxDepth) throw FormatError("it is nested too deeply");
        if (event == json::parse_event_t::object_start) names.emplace_back();
        break;
      case json::parse_event_t::object_end: names.pop_back(); break;
      case json::parse_event_t::key:
        if (!names.back().insert(parsed.get<std::string>()).second) {
          throw FormatError("a member comes twice in one object");
        }
        break;
      default: break;
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), check);
  } catch (const json::exception&) {
    throw FormatError("it is not valid JSON");
  }
}

}  // namespace driveprep::keywrap

#include "agent/job/json_object.h"

#include <algorithm>
#include <utility>

#include "base/nearest_word.h"

namespace driveprep::job {
namespace {

using nlohmann::json;

std::string position(std::string_view text, std::size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t start =
      before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return std::to_string(line) + ":" + std::to_string(before.size() - start + 1);
}

// The library's text begins with its own classification; the operator needs what follows it.
std::string cause_of(const json::parse_error& error) {
  const std::string text = error.what();
  for (const char* mark : {"syntax error ", "parse error "}) {
    const std::size_t at = text.find(mark);
    if (at != std::string::npos) return text.substr(at);
  }
  return text;
}

}  // namespace

json parse_json_with_comments(std::string_view text, const std::string& file) {
  std::vector<std::set<std::string>> open;
  const auto refuse_repeated = [&](int, json::parse_event_t event, json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start: open.emplace_back(); break;
      case json::parse_event_t::object_end: open.pop_back(); break;
      case json::parse_event_t::key:
        if (!open.back().insert(parsed.get<std::string>()).second) {
          throw Error(ErrorKind::kUsage, "json-repeated-member",
                      file + ": member \"" + parsed.get<std::string>() + "\" comes twice",
                      "Keep one of them.");
        }
        break;
      default: break;
    }
    return true;
  };
  // The library takes a NUL for the end.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    throw Error(ErrorKind::kUsage, "json-syntax",
                file + ":" + position(text, nul) + ": a NUL byte, which no JSON has",
                "Write the file anew, as text.");
  }
  try {
    return json::parse(text, refuse_repeated, true, true);
  } catch (const json::parse_error& error) {
    const std::size_t byte = error.byte == 0 ? 0 : error.byte - 1;
    throw Error(ErrorKind::kUsage, "json-syntax",
                file + ":" + position(text, byte) + ": " + cause_of(error),
                "Correct the JSON; look at the line before, too, for a missing comma or quote.");
  }
}

JsonObject::JsonObject(const json& value, std::string pointer, const std::string& file,
                       std::set<std::string>* known)
    : value_(value), pointer_(std::move(pointer)), file_(file), known_(known) {
  if (!value_.is_object()) {
    throw Error(ErrorKind::kUsage, "job-type",
                file_ + ": " + (pointer_.empty() ? "the document" : pointer_) + " is not an object",
                "Write { ... }.");
  }
}

std::string JsonObject::pointer_to(const std::string& member) const {
  std::string pointer = pointer_ + "/";
  for (const char c : member) pointer += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return pointer;
}

Error JsonObject::error(const std::string& member, std::string code, const std::string& what,
                        std::string remedy) const {
  return Error(ErrorKind::kUsage, std::move(code), file_ + ": " + pointer_to(member) + " " + what,
               std::move(remedy));
}

const json* JsonObject::find(const std::string& member) {
  asked_.insert(member);
  if (known_ != nullptr) known_->insert(pointer_to(member));
  const auto found = value_.find(member);
  return found == value_.end() ? nullptr : &*found;
}

std::optional<std::string> JsonObject::text(const std::string& member) {
  const json* value = find(member);
  if (value == nullptr) return std::nullopt;
  return text_of(member, *value);
}

std::map<std::string, std::string> JsonObject::text_map() const {
  std::map<std::string, std::string> result;
  for (const auto& [member, value] : value_.items()) result[member] = text_of(member, value);
  return result;
}

std::string JsonObject::text_of(const std::string& member, const json& value) const {
  if (!value.is_string()) throw error(member, "job-type", "is not a text", "Write \"...\".");
  auto text = value.get<std::string>();
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (std::any_of(text.begin(), text.end(), control)) {
    throw error(member, "job-value", "has a control character", "Remove it.");
  }
  return text;
}

std::optional<bool> JsonObject::boolean(const std::string& member) {
  const json* value = find(member);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) {
    throw error(member, "job-type", "is neither true nor false", "Write true or false, unquoted.");
  }
  return value->get<bool>();
}

std::optional<std::uint64_t> JsonObject::number(const std::string& member) {
  const json* value = find(member);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_unsigned()) {
    throw error(member, "job-type", "is no whole number", "Write a number, unquoted.");
  }
  return value->get<std::uint64_t>();
}

std::optional<std::vector<std::string>> JsonObject::texts(const std::string& member) {
  const json* value = find(member);
  if (value == nullptr) return std::nullopt;
  const bool fits = value->is_array() && std::all_of(value->begin(), value->end(),
                                                     [](const json& v) { return v.is_string(); });
  if (!fits) throw error(member, "job-type", "is not a list of texts", "Write [\"...\"].");
  return value->get<std::vector<std::string>>();
}

std::optional<JsonObject> JsonObject::object(const std::string& member) {
  const json* value = find(member);
  if (value == nullptr) return std::nullopt;
  return JsonObject(*value, pointer_to(member), file_, known_);
}

std::string JsonObject::required_text(const std::string& member) {
  auto value = text(member);
  if (!value) throw error(member, "job-member-missing", "is missing", "Add it.");
  if (value->empty()) throw error(member, "job-value", "is empty", "Fill it in.");
  return std::move(*value);
}

JsonObject JsonObject::required_object(const std::string& member) {
  auto value = object(member);
  if (!value) throw error(member, "job-member-missing", "is missing", "Add it.");
  return std::move(*value);
}

void JsonObject::finish() const {
  for (const auto& [name, value] : value_.items()) {
    if (asked_.contains(name)) continue;
    const std::vector<std::string> known(asked_.begin(), asked_.end());
    const std::optional<std::string> nearest = nearest_word(name, known);
    throw error(name, "job-unknown-member", "is not a member that driveprep knows",
                nearest ? "Did you mean \"" + *nearest + "\"?" : "Remove it.");
  }
}

}  // namespace driveprep::job

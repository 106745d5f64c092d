// A JSON object read member by member: what was not asked for is an error at the end, so that no
// misspelt member is silently ignored. Errors name the file and the JSON pointer.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace driveprep::job {

// Parses `text`, comments allowed. Errors are "json-syntax" with file:line:column and
// "json-repeated-member".
nlohmann::json parse_json_with_comments(std::string_view text, const std::string& file);

class JsonObject {
 public:
  // `file` and `known` are shared by all objects of one document; `known` may be null.
  JsonObject(const nlohmann::json& value, std::string pointer, const std::string& file,
             std::set<std::string>* known);

  // Each returns nullopt when the member is absent. null counts as a wrong type.
  std::optional<std::string> text(const std::string& member);
  std::optional<bool> boolean(const std::string& member);
  std::optional<std::uint64_t> number(const std::string& member);  // a whole one, not negative
  std::optional<std::vector<std::string>> texts(const std::string& member);
  std::optional<JsonObject> object(const std::string& member);

  // "job-member-missing" when absent, "job-value" when empty.
  std::string required_text(const std::string& member);
  JsonObject required_object(const std::string& member);

  // All members of an object whose names are the user's own; each is a text.
  std::map<std::string, std::string> text_map() const;

  // Every member that is there must have been asked for: "job-unknown-member".
  void finish() const;

  // An error at one of this object's members.
  Error error(const std::string& member, std::string code, const std::string& what,
              std::string remedy) const;

 private:
  const nlohmann::json* find(const std::string& member);
  std::string text_of(const std::string& member, const nlohmann::json& value) const;
  std::string pointer_to(const std::string& member) const;

  const nlohmann::json& value_;
  std::string pointer_;
  const std::string& file_;
  std::set<std::string>* known_;
  std::set<std::string> asked_;
};

}  // namespace driveprep::job

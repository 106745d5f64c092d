// Members of job.json that are one of a few words, or a path.
#pragma once

#include <array>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "agent/job/json_object.h"

namespace driveprep::job {

template <typename Value>
using Choice = std::pair<std::string_view, Value>;

// The member's value among `choices`, or `fallback` when it is absent; "job-value" for other words.
template <typename Value, std::size_t kCount>
Value choose(JsonObject& object, const std::string& member,
             const std::array<Choice<Value>, kCount>& choices, Value fallback) {
  const auto text = object.text(member);
  if (!text) return fallback;
  std::string allowed;
  for (const auto& [name, value] : choices) {
    if (name == *text) return value;
    allowed += (allowed.empty() ? "" : ", ") + std::string(name);
  }
  throw object.error(member, "job-value", "is \"" + *text + "\"", "Write one of " + allowed + ".");
}

std::string choose_text(JsonObject& object, const std::string& member,
                        std::initializer_list<std::string_view> choices, std::string fallback);

// A file or directory; relative ones start at `directory`.
std::optional<std::filesystem::path> path_member(JsonObject& object, const std::string& member,
                                                 const std::filesystem::path& directory);

}  // namespace driveprep::job

#include "agent/job/json_choices.h"

namespace driveprep::job {

std::string choose_text(JsonObject& object, const std::string& member,
                        std::initializer_list<std::string_view> choices, std::string fallback) {
  const auto text = object.text(member);
  if (!text) return fallback;
  std::string allowed;
  for (const std::string_view name : choices) {
    if (name == *text) return *text;
    allowed += (allowed.empty() ? "" : ", ") + std::string(name);
  }
  throw object.error(member, "job-value", "is \"" + *text + "\"", "Write one of " + allowed + ".");
}

std::optional<std::filesystem::path> path_member(JsonObject& object, const std::string& member,
                                                 const std::filesystem::path& directory) {
  const auto text = object.text(member);
  if (!text) return std::nullopt;
  if (text->empty() || text->starts_with('~')) {
    throw object.error(member, "job-value", text->empty() ? "is empty" : "begins with '~'",
                       "Write the path in full, or relative to the job directory.");
  }
  return (directory / *text).lexically_normal();
}

}  // namespace driveprep::job

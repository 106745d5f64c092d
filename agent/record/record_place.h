// Where the record of a work goes that may end at any time: first a record that it was begun, in
// its place then one of how it ended. Whenever the power fails, one of the two is there.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace driveprep::record {

// A record of the same drive at the same path whose work did not come to its end.
struct EarlierAttempt {
  std::string text;
  std::string started;
  std::string result;             // "begun" (its end is not known), "stopped", "failed"
  std::filesystem::path kept_as;  // where begin() puts it: evidence is not overwritten
};

// Nothing is ever overwritten but what was begun, by what came of it; an earlier attempt is moved
// aside. Errors: kUsage
// "record-exists"; others of kind kWrite.
class RecordPlace {
 public:
  // `drive`: the member of that name of the records to come. Throws what begin() would, as far as
  // that can be told: a file is really made there, and removed.
  RecordPlace(std::filesystem::path path, const nlohmann::ordered_json& drive);

  const std::optional<EarlierAttempt>& earlier() const { return earlier_; }

  // Each is durable when it returns, and whole or not there when it throws.
  void begin(const std::string& text);
  void finish(const std::string& text) const;

 private:
  std::filesystem::path path_;
  std::optional<EarlierAttempt> earlier_;
  std::string begun_;
};

}  // namespace driveprep::record

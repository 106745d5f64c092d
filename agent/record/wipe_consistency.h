// Does a record of kind "wipe" say things that can be true together? A signature tells who wrote
// it, not that it makes sense.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace driveprep::record {

// The result of a wipe that did not come to its end: "begun", "stopped", "failed"; nullopt for one
// that did, and for a record of another kind.
std::optional<std::string> missed_result(const nlohmann::ordered_json& record);

// Throws kVerification "record-inconsistent" with the first contradiction. `name` is for the
// message. The rules: docs/records.md.
void check_wipe_consistency(const nlohmann::ordered_json& record, const std::string& name);

}  // namespace driveprep::record

// Does a record of kind "wipe" say things that can be true together? A signature tells who wrote
// it, not that it makes sense.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace driveprep::record {

// It says that a wipe was begun, and nothing of its end.
bool is_unfinished_wipe(const nlohmann::ordered_json& record);

// Throws kVerification "record-inconsistent" with the first contradiction. `name` is for the
// message. The rules: docs/records.md.
void check_wipe_consistency(const nlohmann::ordered_json& record, const std::string& name);

}  // namespace driveprep::record

// What a signed record says, for people and for scripts.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "agent/record/signed_record.h"
#include "base/error.h"

namespace driveprep::cli {

enum class Signer { kOwn, kOther };

// Genuine, and yet of no wiped drive: the codes of these errors.
inline constexpr const char* kUnfinished = "record-unfinished";  // it never told its end
inline constexpr const char* kNotWiped = "record-not-wiped";     // it has failed, or was stopped

// One file that was to be checked.
struct RecordFile {
  std::string path;
  std::optional<record::CheckedRecord> record;  // when its signature fits the key that it must fit
  Signer signer = Signer::kOther;
  bool demanded = false;  // by --key, and it is that key
  std::optional<Error> error;
};

// Its contents are known here, and checked.
bool is_wipe(const nlohmann::ordered_json& record);

// Lines without the last line feed. Members that are not there are left out, unknown ones, too.
std::string record_text(const RecordFile& file);
nlohmann::ordered_json record_json(const RecordFile& file);

}  // namespace driveprep::cli

// Signed records: what was done with a drive, in a file that anybody can check. docs/records.md.
//
// One JSON object: a JWS in the flattened serialisation (RFC 7515, 7.2.2) with EdDSA (RFC 8037),
// and beside it the same record readable. What counts is the payload; a readable part that says
// something else is refused.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "agent/record/public_key.h"
#include "agent/record/record_key.h"

namespace driveprep::record {

// The text of the file. `record` is an object nested at most 7 deep; what is no UTF-8 in its
// strings becomes U+FFFD. The result has been checked with check_record().
std::string sign_record(const nlohmann::ordered_json& record, const RecordKey& key);

struct CheckedRecord {
  nlohmann::ordered_json record;  // what was signed
  PublicKey key;                  // whose signature it is: the file's word, until it is compared
};

inline constexpr std::size_t kMaxRecordBytes = 16 * 1024 * 1024;

// Throws kUsage "record-malformed" for what is no record; kVerification "record-signature" when the
// signature does not fit, and "record-differs" when the readable part is not what was signed.
// `name` is for the messages.
CheckedRecord check_record(std::string_view text, const std::string& name = "the record");

// A new file with mode 0644, durable when this returns; nothing stays behind on failure. kUsage
// "record-exists": nothing is ever overwritten; failures are of kind kWrite.
void write_record(const std::filesystem::path& path, std::string_view text);
// "record-exists".
[[noreturn]] void refuse_existing(const std::filesystem::path& path);
// For before the work: throws what write_record() would.
void require_writable(const std::filesystem::path& path);

}  // namespace driveprep::record

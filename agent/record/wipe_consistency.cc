#include "agent/record/wipe_consistency.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "base/ascii.h"
#include "base/error.h"

namespace driveprep::record {
namespace {

using nlohmann::ordered_json;
using Pointer = ordered_json::json_pointer;

// What is wrong, for the end of a sentence about the record.
struct Contradiction {
  std::string text;
};

const ordered_json& member(const ordered_json& record, const char* path) {
  const Pointer pointer(path);
  if (!record.contains(pointer)) throw Contradiction{"it lacks " + std::string(path)};
  return record.at(pointer);
}

std::string text(const ordered_json& record, const char* path) {
  const ordered_json& value = member(record, path);
  if (!value.is_string()) throw Contradiction{std::string(path) + " is not a string"};
  return value.get<std::string>();
}

std::string one_of(const ordered_json& record, const char* path,
                   std::initializer_list<std::string_view> known) {
  std::string word = text(record, path);
  if (std::ranges::find(known, word) != known.end()) return word;
  std::string words;
  for (const std::string_view each : known)
    words += (words.empty() ? "" : ", ") + std::string(each);
  throw Contradiction{std::string(path) + " is none of " + words};
}

// "2026-11-21T21:57:03Z", also with a fraction, without its Z: such texts are ordered as the times
// are.
std::string utc_time(const ordered_json& record, const char* path) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00";
  const std::string time = text(record, path);
  const auto fits = [&](std::size_t i) {
    if (i == kForm.size()) return time[i] == '.';
    if (i > kForm.size()) return ascii::is_digit(time[i]);
    return kForm[i] == '0' ? ascii::is_digit(time[i]) : time[i] == kForm[i];
  };
  bool good = time.size() > kForm.size() && time.back() == 'Z' && time[time.size() - 2] != '.';
  for (std::size_t i = 0; good && i + 1 < time.size(); ++i) good = fits(i);
  if (!good) {
    throw Contradiction{std::string(path) + " is not a time in UTC, such as 2026-11-21T21:57:03Z"};
  }
  return time.substr(0, time.size() - 1);
}

std::uint64_t count(const ordered_json& record, const char* path) {
  const ordered_json& value = member(record, path);
  const bool counts =
      value.is_number_unsigned() || (value.is_number_integer() && value.get<std::int64_t>() >= 0);
  if (!counts) throw Contradiction{std::string(path) + " is not a count"};
  return value.get<std::uint64_t>();
}

void require_that(bool holds, const char* but) {
  if (!holds) throw Contradiction{std::string("it says wiped, and ") + but};
}

void require_true(const ordered_json& record, const char* path, const char* but) {
  require_that(member(record, path) == true, but);
}

void require_read_back(const ordered_json& record, std::string_view method) {
  require_true(record, "/read_back/complete", "that reading back was ended before its end");
  require_true(record, "/read_back/cache_bypassed", "not that the disk itself was read back");
  const std::uint64_t samples = count(record, "/read_back/samples");
  const std::uint64_t zero = count(record, "/read_back/zero");
  require_that(samples > 0, "that nothing was read back");
  require_that(
      count(record, "/read_back/failed") == 0 && count(record, "/read_back/unreadable") == 0,
      "not that every sample read back was as it should be");
  require_that(zero + count(record, "/read_back/other") == samples, "its samples do not add up");
  require_that(method != "discard" || count(record, "/read_back/changed") > 0,
               "not that the disk has forgotten anything");
  require_that(method != "overwrite" || zero == samples,
               "that not all is zeros, which it was overwritten with");
}

void require_success(const ordered_json& record, std::string_view method) {
  require_true(record, "/metadata_destroyed", "that not all metadata was destroyed");
  const std::string gone = utc_time(record, "/metadata_destroyed_at");
  require_that(utc_time(record, "/started") <= gone && gone <= utc_time(record, "/ended"),
               "that the metadata was destroyed at another time");
  require_that(member(record, "/error").is_null(), "names an error");
  require_true(record, "/contents_gone", "that its method did not come to its end");
  require_that(
      method == "metadata" || count(record, "/bytes_covered") == count(record, "/drive/bytes"),
      "not that it was done to all bytes of the drive");
  require_read_back(record, method);
}

// Written before anything was done: whoever knows more has changed it.
void require_beginning(const ordered_json& record) {
  for (const char* path : {"/ended", "/error", "/metadata_destroyed", "/read_back"}) {
    if (!member(record, path).is_null()) {
      throw Contradiction{"it says that the wipe was just begun, and yet has " + std::string(path)};
    }
  }
}

void check(const ordered_json& record) {
  const ordered_json& schema = member(record, "/schema");
  if (!schema.is_number_integer() || schema != 1) {
    throw Contradiction{"its schema is not 1, the one that this driveprep knows"};
  }
  if (text(record, "/kind") != "wipe") throw Contradiction{"its kind is not wipe"};
  const std::string result = one_of(record, "/result", {"begun", "wiped", "stopped", "failed"});
  const std::string method = one_of(record, "/method", {"overwrite", "discard", "metadata"});
  if (!member(record, "/drive").is_object()) throw Contradiction{"/drive is not an object"};
  const std::string started = utc_time(record, "/started");
  if (result == "begun") return require_beginning(record);
  if (utc_time(record, "/ended") < started) {
    throw Contradiction{"it ended before it started"};
  }
  if (result == "wiped") require_success(record, method);
}

}  // namespace

std::optional<std::string> missed_result(const ordered_json& record) {
  const auto kind = record.find("kind");
  const auto result = record.find("result");
  if (kind == record.end() || *kind != "wipe" || result == record.end() || !result->is_string() ||
      *result == "wiped") {
    return std::nullopt;
  }
  return result->get<std::string>();
}

void check_wipe_consistency(const ordered_json& record, const std::string& name) {
  try {
    check(record);
  } catch (const Contradiction& contradiction) {
    throw Error(
        ErrorKind::kVerification, "record-inconsistent",
        name + " cannot be true as it stands: " + contradiction.text,
        "Do not rely on it, though its signature fits; look at what else its author says of "
        "this drive, or wipe the drive again.");
  }
}

}  // namespace driveprep::record

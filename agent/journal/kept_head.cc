#include "agent/journal/kept_head.h"

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/encoding.h"
#include "base/posix.h"
#include "base/system_error.h"

namespace driveprep::journal {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kFormat = "driveprep-audit-head";
constexpr int kVersion = 1;
constexpr std::size_t kMaxBytes = 64 * 1024;

std::filesystem::path file_of(const std::filesystem::path& job_directory) {
  return job_directory / "audit-head.json";
}

KeptHead kept_from(const json& object) {
  if (object.at("format").get<std::string>() != kFormat ||
      object.at("version").get<int>() != kVersion) {
    throw FormatError("it was not written by this version of driveprep");
  }
  KeptHead kept;
  kept.head.events = object.at("events").get<std::int64_t>();
  const auto hash = object.at("head").get<std::string>();
  if (kept.head.events < 0 || !from_hex(hash, kept.head.hash)) {
    throw FormatError("it names no place in a chain of hashes");
  }
  kept.marks = object.at("marks").get<std::vector<std::string>>();
  return kept;
}

}  // namespace

std::optional<KeptHead> load_kept_head(const std::filesystem::path& job_directory) {
  const std::filesystem::path file = file_of(job_directory);
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::symlink_status(file, ignored))) {
    return std::nullopt;
  }
  const std::string text = posix::read_file(file, kMaxBytes, ErrorKind::kVerification);
  try {
    return kept_from(json::parse(text));
  } catch (const json::exception&) {
    throw FormatError("it is damaged");
  }
}

void save_kept_head(const std::filesystem::path& job_directory, const KeptHead& kept) {
  const ordered_json object = {{"format", kFormat},
                               {"version", kVersion},
                               {"events", kept.head.events},
                               {"head", hex_lower(kept.head.hash)},
                               {"marks", kept.marks}};
  in_job_directory([&] {
    write_file_atomically(file_of(job_directory), as_bytes(object.dump(2) + "\n"), 0600);
  });
}

}  // namespace driveprep::journal

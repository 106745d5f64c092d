#include "agent/record/record_place.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "agent/record/signed_record.h"
#include "agent/record/wipe_consistency.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/posix.h"

namespace driveprep::record {
namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

// What is at the path, when that is a file and no link.
std::optional<std::string> text_at(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return posix::read_file(path, kMaxRecordBytes, ErrorKind::kWrite);
}

bool is_of(const ordered_json& record, const ordered_json& drive) {
  constexpr std::array<const char*, 5> kTelling = {"id", "serial", "model", "wwn", "bytes"};
  const ordered_json& other = record.at("drive");
  return std::ranges::all_of(kTelling, [&](const char* name) {
    return other.contains(name) && drive.contains(name) && other.at(name) == drive.at(name);
  });
}

// "returned-17.json" -> "returned-17-begun-20261123T094703Z.json".
fs::path kept_name(const fs::path& path, const std::string& result, std::string started) {
  std::erase_if(started, [](char c) { return c == '-' || c == ':'; });
  fs::path name = path;
  name.replace_filename(path.stem().string() + "-" + result + "-" + started +
                        path.extension().string());
  return name;
}

std::optional<EarlierAttempt> earlier_attempt(const fs::path& path, const ordered_json& drive) {
  std::optional<std::string> text = text_at(path);
  if (!text) return std::nullopt;
  try {
    const ordered_json record = check_record(*text, path.string()).record;
    check_wipe_consistency(record, path.string());
    const std::optional<std::string> result = missed_result(record);
    if (!result || !is_of(record, drive)) return std::nullopt;
    std::string started = record.at("started").get<std::string>();
    fs::path kept_as = kept_name(path, *result, started);
    return EarlierAttempt{std::move(*text), std::move(started), *result, std::move(kept_as)};
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInternal) throw;
    return std::nullopt;  // something else: it stays
  }
}

void replace(const fs::path& path, const std::string& text) {
  write_file_atomically(path, as_bytes(text), 0644);
}

}  // namespace

RecordPlace::RecordPlace(fs::path path, const ordered_json& drive)
    : path_(std::move(path)), earlier_(earlier_attempt(path_, drive)) {
  if (earlier_) {
    if (text_at(earlier_->kept_as) != earlier_->text) require_writable(earlier_->kept_as);
  } else {
    require_writable(path_);
  }
}

void RecordPlace::begin(const std::string& text) {
  if (!earlier_) {
    write_record(path_, text);
  } else {
    // It is there already when a run ended just between these two steps.
    if (text_at(earlier_->kept_as) != earlier_->text) {
      write_record(earlier_->kept_as, earlier_->text);
    }
    if (text_at(path_) != earlier_->text) refuse_existing(path_);
    replace(path_, text);
  }
  begun_ = text;
}

void RecordPlace::finish(const std::string& text) const {
  if (text_at(path_) == begun_) {
    replace(path_, text);
  } else {
    write_record(path_, text);  // moved away, or no longer what was put there
  }
}

}  // namespace driveprep::record

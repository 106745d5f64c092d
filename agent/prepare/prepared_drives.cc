#include "agent/prepare/prepared_drives.h"

#include <fcntl.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/directories.h"
#include "base/file_time.h"
#include "base/posix.h"
#include "base/units.h"
#include "base/user_directories.h"

namespace driveprep::prepare {
namespace {

constexpr std::uint64_t kMostBytes = 64 * kMiB;

std::filesystem::path file() {
  const auto state = user_directory("XDG_STATE_HOME", ".local/state");
  if (!state) {
    throw Error(ErrorKind::kUsage, "prepared-drives-unreadable",
                "this user has no home directory, so there is no list of finished drives",
                "Set XDG_STATE_HOME to a directory that stays.");
  }
  return *state / "driveprep" / "prepared-drives.jsonl";
}

std::string text_of(const nlohmann::json& line, const char* name) {
  const auto value = line.find(name);
  return value != line.end() && value->is_string() ? value->get<std::string>() : std::string();
}

}  // namespace

std::vector<guard::PreparedDrive> prepared_drives() {
  const std::filesystem::path list = file();
  std::vector<guard::PreparedDrive> drives;
  std::error_code unknown;
  if (!std::filesystem::exists(list, unknown) && !unknown) return drives;
  std::string text;
  try {
    text = posix::read_file(list, kMostBytes, ErrorKind::kUsage);
  } catch (const Error& error) {
    throw Error(ErrorKind::kUsage, "prepared-drives-unreadable",
                "the list of finished drives cannot be read: " + std::string(error.what()),
                "Make " + list.string() + " readable, or move it away.");
  }
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
    if (!entry.is_object()) continue;
    drives.push_back(
        {text_of(entry, "serial"), text_of(entry, "disk_guid"), text_of(entry, "job")});
  }
  return drives;
}

void keep_prepared_drive(const guard::PreparedDrive& drive) {
  const std::filesystem::path list = file();
  create_directories_durably(list.parent_path(), ErrorKind::kWrite);
  const nlohmann::ordered_json entry = {{"serial", drive.serial},
                                        {"disk_guid", drive.disk_guid},
                                        {"job", drive.job},
                                        {"finished", FileTime::now().iso8601()}};
  // Begins with a line end: what a power cut has left of the line before is ended.
  const std::string line = "\n" + entry.dump() + "\n";
  const UniqueFd fd = posix::open(list, O_WRONLY | O_APPEND | O_CREAT, ErrorKind::kWrite, 0600);
  posix::write_all(fd.get(), as_bytes(line), list.string(), ErrorKind::kWrite);
  posix::fsync(fd.get(), list.string(), ErrorKind::kWrite);
  posix::fsync_directory(list.parent_path(), ErrorKind::kWrite);
}

}  // namespace driveprep::prepare

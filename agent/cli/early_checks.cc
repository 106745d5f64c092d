#include "agent/cli/early_checks.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

#include "agent/cli/job_session.h"
#include "agent/cli/request_parameters.h"
#include "agent/prepare/password_file.h"
#include "keywrap/key_error.h"

namespace driveprep::cli {
namespace {

using journal::DriveState;

// Paths may differ and the file be one: through hard links, and through links on the way to it.
void require_distinct_images(const job::Job& job) {
  std::map<std::pair<dev_t, ino_t>, const job::DriveRow*> seen;
  for (const job::DriveRow& row : job.driveset.rows) {
    struct stat facts {};
    if (row.kind != job::DriveRow::Kind::kImage || ::stat(row.path.c_str(), &facts) != 0) continue;
    const auto [other, fresh] = seen.emplace(std::pair(facts.st_dev, facts.st_ino), &row);
    if (fresh) continue;
    throw Error(ErrorKind::kUsage, "csv-drive-repeated",
                job.driveset.file.string() + ":" + std::to_string(row.line) + ": " +
                    row.path.string() + " is the same file as " + other->second->path.string() +
                    " (line " + std::to_string(other->second->line) + ")",
                "Make an image file of its own for every drive.");
  }
}

// A store that is not there yet is made by `prepare`; whether it can be is seen now.
void check_new_key_store(const job::Job& job) {
  const std::filesystem::path& directory = job.spec.encryption.key_store;
  std::filesystem::path there = directory;
  std::error_code ignored;
  while (!std::filesystem::exists(there, ignored) && there.has_relative_path()) {
    there = there.parent_path();
  }
  if (std::filesystem::is_directory(there, ignored) && ::access(there.c_str(), W_OK | X_OK) == 0) {
    return;
  }
  throw Error(ErrorKind::kKey, "key-store-missing",
              "there is no key store " + directory.string() + " yet, and it cannot be made in " +
                  there.string(),
              "Name a directory of your own in /encryption/keyStore of job.json.");
}

// `needed`: recovery passwords were wrapped with it already.
void check_key_store(keys::JobKeys& keys, bool needed) {
  const job::Job& job = keys.job();
  try {
    keys.ring().local().newest(keys.setting().uri);
  } catch (const keywrap::KeyError& error) {
    if (error.condition() != keywrap::Condition::kKeyNotFound) throw;
  } catch (const Error& error) {
    if (error.code() != "key-store-missing" || needed) throw;
    check_new_key_store(job);
  }
}

}  // namespace

bool nothing_begun(const journal::Journal* journal) {
  if (journal == nullptr || !journal->job()) return true;
  return std::ranges::all_of(journal->drives(), [](const journal::Drive& drive) {
    return drive.state == DriveState::kPlanned && !drive.identity;
  });
}

bool all_finished(const journal::Journal* journal) {
  if (nothing_begun(journal)) return false;
  return std::ranges::all_of(journal->drives(), [](const journal::Drive& drive) {
    return drive.state == DriveState::kFinished || drive.planned_files == 0;
  });
}

void check_before_writing(keys::JobKeys& keys, const journal::Journal* journal) {
  const job::Job& job = keys.job();
  check_request_parameters(job.spec);
  require_distinct_images(job);
  prepare::check_password_file(job, journal);
  // A finished job can be looked at without its keys.
  if (all_finished(journal)) return;
  std::vector<journal::Drive> drives;
  if (!nothing_begun(journal)) drives = journal->drives();
  keys.require_settled(journal);
  // A vault is asked by prepare, not by a plan.
  if (keys.setting().is_customers()) return;
  check_key_store(keys, std::ranges::any_of(drives, [](const journal::Drive& drive) {
                    return drive.volume.has_value();
                  }));
}

}  // namespace driveprep::cli

#include "agent/cli/commands.h"
#include "agent/cli/job_session.h"
#include "agent/cli/output.h"
#include "agent/report/sizes.h"
#include "base/encoding.h"

namespace driveprep::cli {
namespace {

constexpr std::size_t kFailuresListed = 1000;

struct DriveStatus {
  journal::Drive drive;
  std::optional<journal::Checkpoint> checkpoint;
  std::uint64_t failures = 0;
};

std::uint64_t bytes_safe(const DriveStatus& status) {
  if (!status.checkpoint) return 0;
  const auto& partial = status.checkpoint->partial;
  return status.checkpoint->bytes_done + (partial ? partial->valid_length : 0);
}

nlohmann::ordered_json drive_json(const journal::Journal& journal, const DriveStatus& status) {
  const journal::Drive& drive = status.drive;
  nlohmann::ordered_json entry = {
      {"id", drive.id},
      {"state", journal::to_string(drive.state)},
      {"detail", drive.detail},
      {"target", drive.target},
      {"planned_files", drive.planned_files},
      {"planned_bytes", drive.planned_bytes},
      {"files_done", status.checkpoint ? status.checkpoint->files_done : 0},
      {"bytes_done", bytes_safe(status)},
      {"failed_sources", status.failures},
      {"changed", drive.changed.iso8601()},
  };
  if (drive.volume) {
    entry["volume"] = {{"cipher", drive.volume->cipher},
                       {"volume_guid", drive.volume->volume.lower()},
                       {"disk_guid", drive.volume->disk.lower()},
                       {"partition_guid", drive.volume->partition.lower()},
                       {"partition_offset", drive.volume->partition_offset},
                       {"partition_bytes", drive.volume->partition_length},
                       {"recovery_protector", drive.volume->recovery_protector.lower()},
                       {"key", drive.volume->envelope_kid}};
  }
  if (drive.manifest) {
    entry["manifest"] = {{"md5", drive.manifest->md5_hex}, {"bytes", drive.manifest->bytes}};
  }
  if (drive.verification) {
    entry["verification"] = {{"result", drive.verification->result},
                             {"when", drive.verification->when.iso8601()},
                             {"blocks", drive.verification->blocks},
                             {"bytes", drive.verification->bytes},
                             {"cache_bypassed", drive.verification->cache_bypassed}};
  }
  nlohmann::ordered_json failures = nlohmann::ordered_json::array();
  for (const journal::Failure& failure : journal.failures(drive.id, 0, kFailuresListed)) {
    failures.push_back(
        {{"source", failure.path}, {"code", failure.code}, {"message", failure.message}});
  }
  entry["failures"] = std::move(failures);
  return entry;
}

}  // namespace

int run_status(const CommonOptions& options) {
  const job::JobDirectory directory(options.job);
  const std::unique_ptr<journal::Journal> journal = open_begun(directory);
  const journal::JobRecord job = *journal->job();

  nlohmann::ordered_json drives = nlohmann::ordered_json::array();
  std::vector<std::vector<std::string>> rows = {
      {"DRIVE", "STATE", "FILES", "DATA", "FAILED", "DETAIL"}};
  for (const journal::Drive& drive : journal->drives()) {
    const DriveStatus status{drive, journal->checkpoint(drive.id),
                             journal->failure_count(drive.id)};
    drives.push_back(drive_json(*journal, status));
    rows.push_back({drive.id, std::string(journal::to_string(drive.state)),
                    report::human_count(status.checkpoint ? status.checkpoint->files_done : 0) +
                        " of " + report::human_count(drive.planned_files),
                    report::human_bytes(bytes_safe(status)) + " of " +
                        report::human_bytes(drive.planned_bytes),
                    report::human_count(status.failures), printable(drive.detail)});
  }
  if (options.json) {
    print_json({{"schema", 1},
                {"job", job.id},
                {"session", job.session},
                {"plan_digest", hex_lower(job.plan_digest)},
                {"drives", drives}});
  } else {
    print("Job " + job.id + ", session " + job.session + "\n");
    print(table(rows));
  }
  return 0;
}

}  // namespace driveprep::cli

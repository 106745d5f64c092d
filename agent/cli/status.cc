#include <algorithm>

#include "agent/cli/commands.h"
#include "agent/cli/early_checks.h"
#include "agent/cli/job_session.h"
#include "agent/cli/output.h"
#include "agent/journal/job_lock.h"
#include "agent/keys/key_state.h"
#include "agent/report/sizes.h"
#include "base/encoding.h"

namespace driveprep::cli {
namespace {

constexpr std::size_t kFailuresListed = 1000;

constexpr std::size_t kFailuresShown = 5;  // of each drive, as text

struct DriveStatus {
  journal::Drive drive;
  bool counted = true;  // planned files and bytes are known
  std::optional<journal::Checkpoint> checkpoint;
  std::uint64_t failures = 0;
};

struct JobStatus {
  std::string id;
  std::string session;
  std::string plan_digest;  // empty: no plan has been kept yet
  std::vector<DriveStatus> drives;
  bool begun = false;
  std::optional<pid_t> run;  // the process that works on the job
};

// Before a drive is touched driveset.csv says which there are, and it may still change.
void read_planned(const job::Job& job, const journal::Journal* journal, JobStatus& status) {
  for (const job::DriveRow& row : job.driveset.rows) {
    DriveStatus drive;
    std::optional<journal::Drive> known =
        journal != nullptr ? journal->drive(row.drive_id) : std::nullopt;
    drive.counted = known.has_value();
    if (known) drive.drive = std::move(*known);
    drive.drive.id = row.drive_id;
    drive.drive.target = row.path.string();
    drive.drive.detail = "nothing is written yet";
    status.drives.push_back(std::move(drive));
  }
}

bool at_work(journal::DriveState state) {
  return state == journal::DriveState::kWriting || state == journal::DriveState::kVerifying;
}

void read_begun(const journal::Journal& journal, JobStatus& status) {
  for (journal::Drive& drive : journal.drives()) {
    if (drive.detail == "verified" && drive.verification) {
      drive.detail += " " + drive.verification->when.iso8601();
    } else if (drive.planned_files == 0) {
      drive.detail = "not needed: nothing goes onto it";
    } else if (at_work(drive.state) && !status.run &&
               drive.detail.find("stopped by") == std::string::npos) {
      drive.detail = "interrupted while " + drive.detail;
    }
    std::optional<journal::Checkpoint> checkpoint = journal.checkpoint(drive.id);
    const std::uint64_t failures = journal.failure_count(drive.id);
    status.drives.push_back({std::move(drive), true, std::move(checkpoint), failures});
  }
}

// `journal` may be null.
JobStatus read_status(const job::JobDirectory& directory, const journal::Journal* journal) {
  JobStatus status;
  status.run = journal::JobLock::holder(directory.root());
  status.begun = !nothing_begun(journal);
  const auto record = journal != nullptr ? journal->job() : std::nullopt;
  if (record) status.plan_digest = hex_lower(record->plan_digest);
  if (status.begun) {
    status.id = record->id;
    status.session = record->session;
    read_begun(*journal, status);
  } else {
    const job::Job job = job::load_job(directory.root());
    status.id = job.spec.name;
    status.session = job.spec.session;
    read_planned(job, journal, status);
  }
  return status;
}

// What to run now; empty while a run is at work.
std::string next_command(const JobStatus& status, const std::string& job) {
  if (status.run) return "";
  if (!status.begun) return "driveprep prepare " + job;
  const bool finished = std::ranges::all_of(status.drives, [](const DriveStatus& entry) {
    return entry.drive.planned_files == 0 || entry.drive.state == journal::DriveState::kFinished;
  });
  return (finished ? "driveprep request " : "driveprep prepare ") + job;
}

std::uint64_t bytes_safe(const DriveStatus& status) {
  if (!status.checkpoint) return 0;
  const auto& partial = status.checkpoint->partial;
  return status.checkpoint->bytes_done + (partial ? partial->valid_length : 0);
}

// A number, or null where it is not known yet.
nlohmann::ordered_json count(const DriveStatus& status, std::uint64_t value) {
  return status.counted ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
}

// `journal` may be null.
nlohmann::ordered_json drive_json(const journal::Journal* journal, const DriveStatus& status) {
  const journal::Drive& drive = status.drive;
  nlohmann::ordered_json entry = {
      {"id", drive.id},
      {"state", journal::to_string(drive.state)},
      {"detail", drive.detail},
      {"target", drive.target},
      {"planned_files", count(status, drive.planned_files)},
      {"planned_bytes", count(status, drive.planned_bytes)},
      {"files_done", status.checkpoint ? status.checkpoint->files_done : 0},
      {"bytes_done", bytes_safe(status)},
      {"failed_sources", status.failures},
      {"changed", nullptr},
  };
  if (status.counted) entry["changed"] = drive.changed.iso8601();
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
  if (status.failures > 0) {
    for (const journal::Failure& failure : journal->failures(drive.id, 0, kFailuresListed)) {
      failures.push_back(
          {{"source", failure.path}, {"code", failure.code}, {"message", failure.message}});
    }
  }
  entry["failures"] = std::move(failures);
  return entry;
}

void print_failures(const journal::Journal& journal, const DriveStatus& status) {
  if (status.failures == 0) return;
  print("\nNot copied to " + status.drive.id + ":");
  for (const journal::Failure& failure : journal.failures(status.drive.id, 0, kFailuresShown)) {
    print("  " + printable(failure.message) + " (" + failure.code + ")");
  }
  if (status.failures > kFailuresShown) {
    print("  ... and " + report::human_count(status.failures - kFailuresShown) +
          " more (--json lists them)");
  }
}

void print_status(const JobStatus& status, const journal::Journal* journal, const std::string& job,
                  const std::string& next) {
  const auto of = [](bool known, const std::string& done, const std::string& all) {
    return known ? done + " of " + all : std::string("-");
  };
  std::vector<std::vector<std::string>> rows = {
      {"DRIVE", "STATE", "FILES", "DATA", "FAILED", "DETAIL"}};
  for (const DriveStatus& entry : status.drives) {
    const journal::Drive& drive = entry.drive;
    rows.push_back(
        {drive.id, std::string(journal::to_string(drive.state)),
         of(entry.counted, report::human_count(entry.checkpoint ? entry.checkpoint->files_done : 0),
            report::human_count(drive.planned_files)),
         of(entry.counted, report::human_bytes(bytes_safe(entry)),
            report::human_bytes(drive.planned_bytes)),
         report::human_count(entry.failures), printable(drive.detail)});
  }
  print("Job " + status.id + ", session " + status.session + "\n");
  print(table(rows));
  for (const DriveStatus& entry : status.drives) {
    if (entry.failures > 0) print_failures(*journal, entry);
  }
  if (status.run) {
    print("\nA run is at work (process " + std::to_string(*status.run) +
          "); the figures are those of its last checkpoint.");
  } else {
    print(status.begun
              ? "\nNext: " + next
              : "\nNothing has been prepared yet. Next: driveprep plan " + job + ", then " + next);
  }
}

// A key in trouble stops the next run: whoever looks at the job has to see it.
void print_key_trouble(const keys::KeyState& state, const std::string& job) {
  if (state.health == keys::KeyState::Health::kOk) return;
  const bool revoked = state.health == keys::KeyState::Health::kRevoked;
  print("\nThe job's key: " + std::string(keys::to_string(state.health)) +
        (revoked ? ", access was refused at its last use (" + state.trouble + ")"
                 : ", a change of it was interrupted") +
        (revoked ? ". driveprep key check " + job + " tells more."
                 : ". driveprep key rewrap " + job + " finishes it."));
}

}  // namespace

int run_status(const CommonOptions& options) {
  const job::JobDirectory directory(options.job);
  directory.check_readable();
  const std::unique_ptr<journal::Journal> journal =
      journal::Journal::open_existing(directory.root());
  const JobStatus status = read_status(directory, journal.get());
  const std::string next = next_command(status, options.job);
  const std::optional<keys::KeyState> key = keys::load_key_state(directory);
  if (!options.json) {
    print_status(status, journal.get(), options.job, next);
    if (key) print_key_trouble(*key, options.job);
    return 0;
  }
  nlohmann::ordered_json document = result_head(directory, status.id);
  document.update({{"session", status.session},
                   {"plan_digest", nullptr},
                   {"running", nullptr},
                   {"next", nullptr},
                   {"drives", nlohmann::ordered_json::array()}});
  if (!status.plan_digest.empty()) document["plan_digest"] = status.plan_digest;
  if (status.run) document["running"] = *status.run;
  if (!next.empty()) document["next"] = next;
  if (key) document["key_state"] = keys::to_string(key->health);
  for (const DriveStatus& drive : status.drives) {
    document["drives"].push_back(drive_json(journal.get(), drive));
  }
  print_json(document);
  return 0;
}

}  // namespace driveprep::cli

#include <algorithm>
#include <filesystem>

#include "agent/cli/commands.h"
#include "agent/cli/job_drives.h"
#include "agent/cli/job_session.h"
#include "agent/cli/key_session.h"
#include "agent/cli/outcome_output.h"
#include "agent/cli/output.h"
#include "agent/cli/stop_signals.h"
#include "agent/journal/job_lock.h"
#include "agent/keys/audit.h"
#include "agent/keys/drive_envelope.h"
#include "agent/prepare/job_preparation.h"
#include "agent/report/progress_display.h"
#include "agent/report/sizes.h"
#include "drive/guard/drive_target.h"
#include "drive/guard/file_lock.h"

namespace driveprep::cli {
namespace {

using journal::DriveState;

struct Checked {
  std::string drive;
  std::optional<prepare::VerifyReport> report;  // none: not looked at, or it could not be opened
  std::optional<Error> error;
  bool disk_recognised = false;  // the image is the one that was prepared

  // A difference that was found before the stop is an error all the same.
  bool stopped() const { return !error && (!report || report->stopped); }
  bool ok() const { return report && report->ok() && !error; }
};

bool selected(const VerifyOptions& options, const std::string& id) {
  return options.drives.empty() || std::ranges::find(options.drives, id) != options.drives.end();
}

void require_known(const VerifyOptions& options, const journal::Journal& journal) {
  for (const std::string& id : options.drives) {
    const std::optional<journal::Drive> drive = journal.drive(id);
    if (!drive) {
      throw Error(ErrorKind::kUsage, "drive-unknown", "this job has no drive " + id,
                  "driveprep status " + options.job + " lists the drives of the job.");
    }
    if (drive->planned_files == 0) {
      throw Error(ErrorKind::kUsage, "drive-not-needed",
                  "drive " + id + " holds nothing of this job: no file went onto it",
                  "Leave --drive " + id + " out.");
    }
  }
}

// A drive that was never read back as a whole has nothing to be compared yet.
bool verifiable(const journal::Drive& drive) {
  const bool sealed = drive.state == DriveState::kFinished ||
                      (drive.state == DriveState::kFailed && drive.verification);
  return sealed && drive.manifest && drive.identity && drive.volume;
}

Error not_finished(const VerifyOptions& options, const journal::Drive& drive) {
  return Error(ErrorKind::kUsage, "drive-not-finished",
               "drive " + drive.id + " is " + std::string(journal::to_string(drive.state)) +
                   ": only a finished drive can be verified",
               "Run driveprep prepare " + options.job + ": it ends with the verification.");
}

// A copy of the whole disk has its disk GUID, too; shipped is the disk that was prepared.
void require_same(const guard::Candidate& disk, const journal::Drive& drive) {
  if (disk.identity() == drive.identity->text) return;
  throw Error(ErrorKind::kJournalMismatch, "drive-other-disk",
              disk.name() + " is not the disk that was prepared as drive " + drive.id + ": it is " +
                  disk.identity() + ", that one was " + drive.identity->text,
              "Connect the disk itself, in the same way as when it was prepared.");
}

// Where driveset.csv says it is: the job directory may have moved since the drive was prepared.
std::unique_ptr<block::FileDevice> open_drive(JobDrives& drives, const journal::Drive& drive) {
  const job::DriveRow* row = drives.row_of(drive);
  if (row != nullptr && row->kind != job::DriveRow::Kind::kImage) {
    const guard::Candidate disk = drives.found(*row);
    require_same(disk, drive);
    return guard::open_for_reading(disk);
  }
  const std::string image = row == nullptr ? drive.target : row->path.string();
  if (!std::filesystem::exists(image)) {
    throw Error(ErrorKind::kBusy, "image-vanished", "there is no " + image + " any more",
                "Put the image back there, or mount what is missing.");
  }
  std::unique_ptr<block::FileDevice> disk =
      block::open_image_read_only(image, SectorSize(drive.identity->sector_size));
  guard::hold_for_reading(*disk);
  return disk;
}

Checked check(const job::Job& job, JobDrives& drives, const std::string& job_id,
              const journal::Drive& drive, journal::Journal& journal, keywrap::KeyStore& keys,
              report::DriveProgress& progress) {
  Checked checked;
  checked.drive = drive.id;
  try {
    const std::unique_ptr<block::FileDevice> disk = open_drive(drives, drive);
    prepare::require_disk(*disk, drive.volume->disk);
    checked.disk_recognised = true;
    checked.report = prepare::verify_drive({
        .disk = *disk,
        .recovery_password = keys::use_recovery_password(journal, job.directory, job_id, drive.id,
                                                         drive.state, keys, "verify"),
        .drive_id = drive.id,
        .volume = drive.volume->volume,
        .manifest_md5 = drive.manifest->md5_hex,
        .expected_bytes = drive.planned_bytes,
        .expected_files = drive.planned_files,
        .metadata_offsets = {},
        .progress = &progress,
        .stop = &stop_requested(),
    });
    if (checked.report->has_findings()) {
      checked.error = prepare::verification_error(drive.id, *checked.report);
    }
  } catch (const Error& error) {
    checked.error = error;
    // What could be refused as a target is, on a drive that was finished, not what was written.
    if (error.kind() == ErrorKind::kRefused && checked.disk_recognised) {
      checked.error.emplace(ErrorKind::kVerification, error.code(), error.what(),
                            "Do not ship this drive: prepare it again.");
    }
  }
  return checked;
}

// Whether the error says that the drive itself is not as it was made. Another image at its place,
// one in use, a key that cannot be used, or a read error that may pass, say nothing about it.
bool drive_at_fault(const Checked& checked) {
  return checked.error && checked.disk_recognised && checked.error->code() != "blocks-unreadable" &&
         checked.error->kind() == ErrorKind::kVerification;
}

void record(journal::Journal& journal, const journal::Drive& before, const Checked& checked) {
  if (checked.stopped()) {
    const std::string result =
        before.state == DriveState::kFinished ? "verified" : "did not verify";
    journal.set_state(before.id, before.state,
                      result + " before; reading it once more was stopped by the operator at " +
                          report::human_bytes(checked.report->bytes));
    return;
  }
  const bool failed = drive_at_fault(checked);
  if (checked.error && !failed) return;
  journal::Verification result;
  result.when = FileTime::now();
  result.result = checked.error ? checked.error->code() : "ok";
  if (checked.report) {
    result.blocks = checked.report->blocks;
    result.bytes = checked.report->bytes;
    result.cache_bypassed = checked.report->cache_bypassed;
  }
  journal.add_event(failed ? "verification-failed" : "drive-verified", checked.drive);
  journal.set_verification(checked.drive, result,
                           failed ? DriveState::kFailed : DriveState::kFinished,
                           failed ? checked.error->what() : "verified");
}

nlohmann::ordered_json checked_json(const Checked& checked) {
  nlohmann::ordered_json entry = {
      {"id", checked.drive}, {"ok", checked.ok()}, {"stopped", checked.stopped()},
      {"exit", 0},           {"error", nullptr},   {"verification", nullptr}};
  if (checked.error) {
    entry["exit"] = static_cast<int>(checked.error->kind());
    entry["error"] = error_json(*checked.error);
  }
  if (checked.report) entry["verification"] = verification_json(*checked.report);
  return entry;
}

void print_checked(const Checked& checked) {
  if (checked.stopped()) {
    print(checked.drive + "  " +
          (checked.report ? "stopped after " + report::human_bytes(checked.report->bytes) +
                                ": nothing can be said of the drive as a whole"
                          : std::string("not looked at")));
  } else if (checked.report) {
    print(checked.drive + "  " + verification_text(*checked.report));
  } else {
    print(checked.drive + "  not verified");
  }
  if (checked.error) {
    print("    " + printable(checked.error->what()));
    if (!checked.error->remedy().empty()) print("    what to do: " + checked.error->remedy());
  }
  if (!checked.report) return;
  for (const prepare::Mismatch& mismatch : checked.report->mismatches) {
    print("    " + printable(mismatch.blob) + " at byte " + std::to_string(mismatch.offset) + ": " +
          mismatch.what);
  }
}

std::vector<Checked> check_all(const VerifyOptions& options, const job::Job& job, JobDrives& drives,
                               journal::Journal& journal, keywrap::KeyStore& keys) {
  const CleanStop clean_stop;
  const std::string job_id = journal.job()->id;
  std::vector<Checked> results;
  for (const journal::Drive& drive : journal.drives()) {
    if (!selected(options, drive.id) || drive.planned_files == 0) continue;
    if (!verifiable(drive)) {
      results.push_back({.drive = drive.id, .report = {}, .error = not_finished(options, drive)});
      continue;
    }
    if (stop_requested()) {
      results.push_back({.drive = drive.id, .report = {}, .error = {}});
      continue;
    }
    report::DriveProgress progress(drive.id);
    const report::ProgressDisplay display(
        {&progress},
        options.json ? report::ProgressStyle::kJson : report::progress_style_for_stderr(),
        &stop_requested());
    results.push_back(check(job, drives, job_id, drive, journal, keys, progress));
    progress.begin(results.back().ok()        ? report::Phase::kDone
                   : results.back().stopped() ? report::Phase::kStopped
                                              : report::Phase::kFailed);
    record(journal, drive, results.back());
  }
  return results;
}

}  // namespace

int run_verify(const VerifyOptions& options) {
  job::Job job = job::load_job(options.job);
  open_begun(job.directory);
  job.directory.check_writable(64 * kKiB);
  const journal::JobLock lock(job.directory.root());
  const std::unique_ptr<journal::Journal> journal =
      journal::Journal::open(job.directory.root(), journal::Journal::Access::kReadWrite);
  require_known(options, *journal);
  keys::JobKeys keys(job, key_operator());
  const keys::AccessMemory memory(keys);
  keys.unlock();  // questions before the progress shows
  JobDrives targets(job, journal.get(), {});
  const std::vector<Checked> results = check_all(options, job, targets, *journal, keys.ring());

  std::vector<ErrorKind> kinds;
  nlohmann::ordered_json drives = nlohmann::ordered_json::array();
  for (const Checked& checked : results) {
    if (checked.error) kinds.push_back(checked.error->kind());
    drives.push_back(checked_json(checked));
    if (!options.json) print_checked(checked);
  }
  int status = prepare::exit_status(results.size(), kinds);
  if (status == 0) status = stop_exit_status();
  if (options.json) {
    nlohmann::ordered_json document = result_head(job.directory, job.spec.name);
    document.update({{"exit", status}, {"drives", drives}});
    print_json(document);
  }
  return status;
}

}  // namespace driveprep::cli

#include <algorithm>

#include "agent/cli/commands.h"
#include "agent/cli/job_session.h"
#include "agent/cli/outcome_output.h"
#include "agent/cli/output.h"
#include "agent/cli/stop_signals.h"
#include "agent/journal/job_lock.h"
#include "agent/prepare/job_preparation.h"
#include "agent/report/progress_display.h"
#include "drive/guard/image_target.h"

namespace driveprep::cli {
namespace {

using journal::DriveState;

struct Checked {
  std::string drive;
  std::optional<prepare::VerifyReport> report;
  std::optional<Error> error;
  bool disk_recognised = false;  // the image is the one that was prepared
};

bool selected(const VerifyOptions& options, const std::string& id) {
  return options.drives.empty() || std::ranges::find(options.drives, id) != options.drives.end();
}

void require_known(const VerifyOptions& options, const journal::Journal& journal) {
  for (const std::string& id : options.drives) {
    if (journal.drive(id)) continue;
    throw Error(ErrorKind::kUsage, "drive-unknown", "this job has no drive " + id,
                "driveprep status lists the drives of the job.");
  }
}

Checked check(const job::Job& job, const std::string& job_id, const journal::Drive& drive,
              keywrap::KeyStore& keys, report::DriveProgress& progress) {
  Checked checked;
  checked.drive = drive.id;
  try {
    const std::unique_ptr<block::FileDevice> disk =
        block::open_image_read_only(drive.target, SectorSize(drive.identity->sector_size));
    guard::hold_for_reading(*disk);
    prepare::require_disk(*disk, drive.volume->disk);
    checked.disk_recognised = true;
    checked.report = prepare::verify_drive({
        .disk = *disk,
        .recovery_password = prepare::open_envelope(job.directory, job_id, drive.id,
                                                    drive.state, keys),
        .drive_id = drive.id,
        .volume = drive.volume->volume,
        .manifest_md5 = drive.manifest->md5_hex,
        .expected_bytes = drive.planned_bytes,
        .expected_files = drive.planned_files,
        .metadata_offsets = {},
        .progress = &progress,
        .stop = &stop_requested(),
    });
    if (!checked.report->ok() && !checked.report->stopped) {
      checked.error = prepare::verification_error(drive.id, *checked.report);
    }
  } catch (const Error& error) {
    checked.error = error;
  }
  return checked;
}

// Whether the error says that the drive itself is not as it was made. Another image at its place, one
// in use, a key that cannot be used, or a read error that may pass, say nothing about it.
bool drive_at_fault(const Checked& checked) {
  return checked.error && checked.disk_recognised && checked.error->code() != "blocks-unreadable" &&
         (checked.error->kind() == ErrorKind::kVerification ||
          checked.error->kind() == ErrorKind::kRefused);
}

void record(journal::Journal& journal, const Checked& checked) {
  if (checked.report && checked.report->stopped) return;
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

}  // namespace

int run_verify(const VerifyOptions& options) {
  const job::Job job = job::load_job(options.job);
  open_begun(job.directory);
  const journal::JobLock lock(job.directory.root());
  const std::unique_ptr<journal::Journal> journal =
      journal::Journal::open(job.directory.root(), journal::Journal::Access::kReadWrite);
  require_known(options, *journal);
  const std::string job_id = journal->job()->id;
  const std::unique_ptr<keywrap::LocalKeyStore> keys = open_key_store(job);

  std::vector<Checked> results;
  std::vector<std::string> unready;
  for (const journal::Drive& drive : journal->drives()) {
    if (!selected(options, drive.id) || drive.planned_files == 0) continue;
    const bool sealed = drive.state == DriveState::kFinished ||
                        (drive.state == DriveState::kFailed && drive.verification);
    if (!sealed || !drive.manifest || !drive.identity || !drive.volume) {
      unready.push_back(drive.id);
      continue;
    }
    report::DriveProgress progress(drive.id);
    const report::ProgressDisplay display(
        {&progress},
        options.json ? report::ProgressStyle::kJson : report::progress_style_for_stderr());
    results.push_back(check(job, job_id, drive, *keys, progress));
    record(*journal, results.back());
    if (stop_requested()) break;
  }

  std::vector<ErrorKind> kinds;
  nlohmann::ordered_json drives = nlohmann::ordered_json::array();
  for (const Checked& checked : results) {
    if (checked.error) kinds.push_back(checked.error->kind());
    nlohmann::ordered_json entry = {
        {"id", checked.drive}, {"ok", !checked.error}, {"error", nullptr}, {"verification", nullptr}};
    if (checked.error) entry["error"] = error_json(*checked.error);
    if (checked.report) entry["verification"] = verification_json(*checked.report);
    drives.push_back(std::move(entry));
    if (options.json) continue;
    print(checked.drive + "  " +
          (checked.report ? verification_text(*checked.report)
                          : std::string("could not be verified")));
    if (checked.error) {
      print("    " + printable(checked.error->what()));
      print("    what to do: " + checked.error->remedy());
    }
    if (checked.report) {
      for (const prepare::Mismatch& mismatch : checked.report->mismatches) {
        print("    " + printable(mismatch.blob) + " at byte " + std::to_string(mismatch.offset) +
              ": " + mismatch.what);
      }
    }
  }
  for (const std::string& id : unready) {
    kinds.push_back(ErrorKind::kVerification);
    drives.push_back({{"id", id}, {"ok", false}, {"error", "not finished"}});
    if (!options.json) print(id + "  is not finished: driveprep prepare " + options.job);
  }
  int status = prepare::exit_status(results.size() + unready.size(), kinds);
  if (status == 0) status = stop_exit_status();
  if (options.json) {
    print_json({{"schema", 1}, {"job", options.job}, {"exit", status}, {"drives", drives}});
  }
  return status;
}

}  // namespace driveprep::cli

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>

#include "agent/cli/commands.h"
#include "agent/cli/drive_selection.h"
#include "agent/cli/early_checks.h"
#include "agent/cli/job_session.h"
#include "agent/cli/key_session.h"
#include "agent/cli/outcome_output.h"
#include "agent/cli/output.h"
#include "agent/cli/plan_output.h"
#include "agent/cli/stop_signals.h"
#include "agent/journal/job_lock.h"
#include "agent/prepare/job_preparation.h"
#include "agent/prepare/job_space.h"
#include "agent/report/progress_display.h"
#include "agent/report/sizes.h"
#include "base/directories.h"
#include "base/posix.h"
#include "base/system_error.h"
#include "keywrap/key_uri.h"

namespace driveprep::cli {
namespace {

using journal::DriveState;

// The plan of an earlier run when that has begun, else a new one. `journal` may be null.
plan::PlanStore plan_for(const job::Job& job, JobDrives& drives, const journal::Journal* journal) {
  if (nothing_begun(journal)) {
    ScanNote note;
    return plan::build_plan(job, drives.inputs(), job.directory.plan_file(), note.progress());
  }
  const std::optional<journal::JobRecord> record = journal->job();
  if (record->inputs_digest != inputs_digest(job)) {
    throw Error(ErrorKind::kJournalMismatch, "job-changed",
                "dataset.csv, driveset.csv, the session or the encryption in " +
                    job.directory.root().string() +
                    " has changed since drives of this job were begun",
                "Undo the change, or make a new job directory for what is to be shipped now.");
  }
  if (!std::filesystem::exists(job.directory.plan_file())) {
    throw Error(ErrorKind::kJournalMismatch, "plan-missing",
                "drives of this job were begun, but " + job.directory.plan_file().string() +
                    ", which says what goes onto them, is gone",
                "Restore that file, or start over in a new job directory.");
  }
  plan::PlanStore plan = plan::PlanStore::open(job.directory.plan_file());
  if (plan.digest() != record->plan_digest) {
    throw Error(ErrorKind::kJournalMismatch, "plan-changed",
                job.directory.plan_file().string() + " is not the plan that was begun",
                "Restore that file, or start over in a new job directory.");
  }
  for (const job::DriveRow& row : job.driveset.rows) plan.set_target(row.drive_id, target_of(row));
  return plan;
}

void require_digest(const plan::PlanStore& plan, const std::string& wanted) {
  const std::string digest = plan.digest_text();
  if (wanted.empty() || wanted == digest) return;
  const std::size_t files = digest.size() - plan::kDiskDigits;
  if (wanted.size() == digest.size() && wanted.substr(0, files) == digest.substr(0, files)) {
    throw Error(
        ErrorKind::kBusy, "disk-changed",
        "the plan is the one that --plan names, but its disks are not as they were: another "
        "one is at the place of one of them, or what is on it has changed",
        "Look at the plan again with driveprep plan, then confirm the digest it prints.");
  }
  throw Error(ErrorKind::kNotConfirmed, "plan-digest-differs",
              "the plan has digest " + digest + ", --plan asked for " + wanted,
              "Look at the plan again with driveprep plan, then confirm the digest it prints.");
}

void record_plan(journal::Journal& journal, const job::Job& job, const plan::PlanStore& plan) {
  journal::JobRecord record;
  record.id = job.spec.name;
  record.session = plan.session();
  record.plan_digest = plan.digest();
  record.inputs_digest = inputs_digest(job);
  record.created = FileTime::now();
  journal.set_job(record);
  for (const plan::DrivePlan& drive : plan.drives()) {
    journal::Drive entry;
    entry.id = drive.drive_id;
    entry.target = drive.target.string();
    entry.planned_files = drive.files;
    entry.planned_bytes = drive.bytes;
    journal.add_drive(entry);
  }
}

// Durable with all its names: a power cut must not lose the way to the envelope of a drive that has
// been written.
void make_drive_directory(const job::JobDirectory& directory, const std::string& drive_id) {
  in_job_directory(
      [&] { create_directories_durably(directory.drive(drive_id), ErrorKind::kWrite); });
  // Also when an earlier run made them and died.
  posix::fsync_directory(directory.drives(), ErrorKind::kWrite);
  posix::fsync_directory(directory.root(), ErrorKind::kWrite);
}

// Once a recovery password is wrapped, only the store that wrapped it will do: a new one at its
// place would hide that the keys are missing. `journal` may be null.
void require_stores_of_envelopes(keys::JobKeys& keys, const journal::Journal* journal) {
  if (journal == nullptr) return;
  for (const journal::Drive& drive : journal->drives()) {
    if (!drive.volume || !keywrap::LocalKeyUri::parse(drive.volume->envelope_kid)) continue;
    keywrap::LocalKeyStore& store = keys.ring().local();
    if (store.owns(drive.volume->envelope_kid)) continue;
    throw Error(ErrorKind::kKey, "key-store-other",
                keys.job().spec.encryption.key_store.string() + " is the key store " + store.id() +
                    ", but drive " + drive.id + " was made with the key " +
                    drive.volume->envelope_kid,
                "Name the key store that the job was begun with, or restore it from its backup.");
  }
}

// Where every drive was left, and which protector opens it.
void log_outcomes(spdlog::logger& log, const journal::Journal& journal,
                  const std::vector<prepare::DriveOutcome>& outcomes) {
  for (const prepare::DriveOutcome& outcome : outcomes) {
    const std::optional<journal::Drive> drive = journal.drive(outcome.drive_id);
    log.info("drive {}: {}{}{}{}", outcome.drive_id, journal::to_string(outcome.state),
             outcome.stopped ? ", stopped by the operator" : "",
             outcome.verification ? ": " + verification_text(*outcome.verification) : "",
             drive && drive->volume
                 ? "; volume " + drive->volume->volume.lower() + ", recovery password protector " +
                       drive->volume->recovery_protector.lower()
                 : "");
  }
}

}  // namespace

int run_prepare(const PrepareOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  job::Job job = job::load_job(options.job);
  job.directory.check_writable();
  const journal::JobLock lock(job.directory.root());
  // Nothing is created in the job directory before everything has been checked.
  std::unique_ptr<journal::Journal> journal = journal::Journal::open_existing(job.directory.root());
  if (journal) journal->require_job(job.spec.name);
  keys::JobKeys keys(job, key_operator());
  const keys::AccessMemory memory(keys);
  check_before_writing(keys, journal.get());
  JobDrives drives(job, journal.get(), parse_accepted(options.accept));
  require_known_drives(options, job);
  JudgedDrives judged = judge_drives(options, job, drives, journal.get());
  const bool fresh = nothing_begun(journal.get());
  const plan::PlanStore plan = plan_for(job, drives, journal.get());
  // Nobody is asked to agree to what was not shown.
  const bool shown_plan = !options.json && any_question(plan, judged.allowed);
  std::map<std::string, guard::VettedDrive> vetted;
  keys::ReadyKey ready;
  try {
    require_digest(plan, options.plan_digest);
    prepare::check_space(job.directory, plan, journal.get());
    // No drive is touched, and nobody asked, before the key has shown that it wraps and unwraps.
    if (!all_finished(journal.get())) {
      ready = keys::ready_key(keys, journal.get(), {.profile = job.spec.encryption.profile}, true);
    }
    if (shown_plan) print_plan(plan);
    vetted = vet_drives(plan, std::move(judged.allowed));
  } catch (const Error&) {
    // Nothing was begun with a new plan: a refusal leaves nothing behind.
    if (fresh) std::filesystem::remove(job.directory.plan_file());
    throw;
  }
  if (stop_requested()) {
    if (fresh) std::filesystem::remove(job.directory.plan_file());
    note("\ndriveprep: stopped");
    return stop_exit_status();
  }

  std::deque<report::DriveProgress> progress;
  std::vector<prepare::DriveTask> tasks;
  for (const plan::DrivePlan& drive : plan.drives()) {
    const auto target = vetted.find(drive.drive_id);
    if (target == vetted.end()) continue;
    progress.emplace_back(drive.drive_id);
    tasks.push_back({drive.index, target->second, &progress.back()});
  }

  std::vector<prepare::DriveOutcome> outcomes;
  const auto report = [&] {
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start);
    return report_outcomes({.job = options.job,
                            .path = job.directory.root().string(),
                            .name = job.spec.name,
                            .json = options.json,
                            .plan = plan,
                            .journal = *journal,
                            .outcomes = outcomes,
                            .progress = progress,
                            .elapsed = elapsed});
  };
  const std::vector<prepare::DriveOutcome> left_out = left_out_drives(judged, plan, journal.get());
  if (tasks.empty() && !left_out.empty()) throw *left_out.front().error;
  if (tasks.empty()) return report();
  for (const prepare::DriveOutcome& each : left_out) {
    note("driveprep: drive " + each.drive_id + " is left out: " + each.error->what());
  }

  require_stores_of_envelopes(keys, journal.get());
  if (ready.kid.empty()) {
    keys.ring().local_or_create().newest_or_create(keys.setting().uri);
  }
  keys.unlock();  // questions before the progress shows
  journal = journal::Journal::open(job.directory.root(), journal::Journal::Access::kReadWrite);
  record_plan(*journal, job, plan);
  const keys::KeyChange key = keys::use_key(keys, *journal, ready);
  tell_of_change(keys, key);
  // The tables have their place in the file before the job directory can run full.
  journal->reuse_log();
  for (const prepare::DriveTask& task : tasks) {
    make_drive_directory(job.directory, task.progress->drive_id());
  }
  const std::shared_ptr<spdlog::logger> log = open_log(job.directory, "prepare");
  log->info("{}, plan {}, {} files, {} bytes", program_name(), plan.digest_text(),
            plan.total_files(), plan.total_bytes());
  for (report::DriveProgress& drive : progress) {
    drive.on_begin = [&log, id = drive.drive_id()](report::Phase phase) {
      log->info("drive {}: {}", id, report::to_string(phase));
    };
  }
  if (!options.json && !shown_plan) print_plan(plan);
  {
    const CleanStop clean_stop;
    std::vector<const report::DriveProgress*> shown;
    for (const report::DriveProgress& drive : progress) shown.push_back(&drive);
    const report::ProgressDisplay display(
        shown, options.json ? report::ProgressStyle::kJson : report::progress_style_for_stderr(),
        &stop_requested());
    outcomes = prepare::prepare_drives({.job = job,
                                        .plan_file = job.directory.plan_file(),
                                        .job_id = job.spec.name,
                                        .creator = program_name(),
                                        .journal = *journal,
                                        .keys = keys.ring(),
                                        .kid = key.new_kid,
                                        .log = *log,
                                        .stop = &stop_requested()},
                                       tasks);
  }
  for (const prepare::DriveOutcome& each : left_out) {
    log->error("drive {} is left out: {} ({})", each.drive_id, each.error->what(),
               each.error->code());
    progress.emplace_back(each.drive_id);
    outcomes.push_back(each);
  }
  log_outcomes(*log, *journal, outcomes);
  const int status = report();
  log->info("ended with exit status {}", status);
  return status;
}

}  // namespace driveprep::cli

#include <algorithm>
#include <chrono>
#include <deque>

#include "agent/cli/commands.h"
#include "agent/cli/consent.h"
#include "agent/cli/job_session.h"
#include "agent/cli/outcome_output.h"
#include "agent/cli/output.h"
#include "agent/cli/plan_output.h"
#include "agent/cli/request_parameters.h"
#include "agent/cli/stop_signals.h"
#include "agent/journal/job_lock.h"
#include "agent/prepare/job_preparation.h"
#include "agent/report/progress_display.h"

namespace driveprep::cli {
namespace {

using journal::DriveState;

bool nothing_begun(const journal::Journal& journal) {
  return std::ranges::all_of(journal.drives(), [](const journal::Drive& drive) {
    return drive.state == DriveState::kPlanned && !drive.identity;
  });
}

// The plan of an earlier run when that has begun, else a new one.
plan::PlanStore plan_for(const job::Job& job, const journal::Journal& journal) {
  const std::optional<journal::JobRecord> record = journal.job();
  if (!record || nothing_begun(journal)) {
    return plan::build_plan(job, drive_inputs(job), job.directory.plan_file(), scan_note());
  }
  if (record->inputs_digest != inputs_digest(job)) {
    throw Error(ErrorKind::kJournalMismatch, "job-changed",
                "dataset.csv, driveset.csv, the session or the encryption in " +
                    job.directory.root().string() +
                    " has changed since drives of this job were begun",
                "Undo the change, or make a new job directory for what is to be shipped now.");
  }
  plan::PlanStore plan = plan::PlanStore::open(job.directory.plan_file());
  if (plan.digest() != record->plan_digest) {
    throw Error(ErrorKind::kJournalMismatch, "plan-changed",
                job.directory.plan_file().string() + " is not the plan that was begun",
                "Restore that file, or start over in a new job directory.");
  }
  return plan;
}

void require_digest(const plan::PlanStore& plan, const std::string& wanted) {
  if (wanted.empty() || wanted == plan.digest_text()) return;
  throw Error(ErrorKind::kNotConfirmed, "plan-digest-differs",
              "the plan has digest " + plan.digest_text() + ", --plan asked for " + wanted,
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

}  // namespace

int run_prepare(const PrepareOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const job::Job job = job::load_job(options.job);
  check_request_parameters(job.spec);
  job.directory.check_writable();
  const journal::JobLock lock(job.directory.root());
  const std::unique_ptr<journal::Journal> journal =
      journal::Journal::open(job.directory.root(), journal::Journal::Access::kReadWrite);
  const plan::PlanStore plan = plan_for(job, *journal);
  require_digest(plan, options.plan_digest);

  // Every drive is judged before the first is touched.
  std::deque<report::DriveProgress> progress;
  std::vector<prepare::DriveTask> tasks;
  for (const plan::DrivePlan& drive : plan.drives()) {
    const std::optional<journal::Drive> known = journal->drive(drive.drive_id);
    if (drive.files == 0 || (known && known->state == DriveState::kFinished)) continue;
    progress.emplace_back(drive.drive_id);
    tasks.push_back({drive.index,
                     vet_with_consent(job, job.driveset.rows.at(drive.index), *journal,
                                      options.confirm),
                     &progress.back()});
  }
  const std::unique_ptr<keywrap::LocalKeyStore> keys = open_or_create_key_store(job);
  const std::string kid = keys->newest_or_create(job.spec.encryption.key_name).kid;
  for (const plan::DrivePlan& drive : plan.drives()) {
    std::filesystem::create_directories(job.directory.drive(drive.drive_id));
  }
  record_plan(*journal, job, plan);

  const std::shared_ptr<spdlog::logger> log = open_log(job.directory, "prepare");
  log->info("{}, plan {}, {} files, {} bytes", program_name(), plan.digest_text(),
            plan.total_files(), plan.total_bytes());
  if (!options.json && !tasks.empty()) print_plan(plan);

  std::vector<prepare::DriveOutcome> outcomes;
  {
    std::vector<const report::DriveProgress*> shown;
    for (const report::DriveProgress& drive : progress) shown.push_back(&drive);
    const report::ProgressDisplay display(
        shown, options.json ? report::ProgressStyle::kJson : report::progress_style_for_stderr());
    outcomes = prepare::prepare_drives({.job = job,
                                        .plan_file = job.directory.plan_file(),
                                        .job_id = job.spec.name,
                                        .creator = program_name(),
                                        .journal = *journal,
                                        .keys = *keys,
                                        .kid = kid,
                                        .log = *log,
                                        .stop = &stop_requested()},
                                       tasks);
  }
  const auto elapsed = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::steady_clock::now() - start);
  log->info("ended after {} s", elapsed.count());
  return report_outcomes({.job = options.job,
                          .json = options.json,
                          .plan = plan,
                          .journal = *journal,
                          .outcomes = outcomes,
                          .progress = progress,
                          .elapsed = elapsed});
}

}  // namespace driveprep::cli

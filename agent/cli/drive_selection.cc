#include "agent/cli/drive_selection.h"

#include <algorithm>
#include <utility>

#include "agent/cli/early_checks.h"

namespace driveprep::cli {
namespace {

// Agreeing to a plan is agreeing to the disks as they were when it was made; what was written since
// by an earlier run is known by its table.
void require_same_appearance(const plan::DrivePlan& drive, const JudgedDrive& judged) {
  if (!judged.by_plan || judged.consent.continues_disk()) return;
  if (judged.candidate.appearance() == drive.appearance) return;
  throw Error(
      ErrorKind::kBusy, "disk-changed",
      judged.candidate.name() + " is not as it was when the plan was made: it was " +
          drive.appearance + " and is " + judged.candidate.appearance(),
      "Look at the drive, then confirm it by its serial number: --confirm " + drive.drive_id + ".");
}

}  // namespace

void require_known_drives(const PrepareOptions& options, const job::Job& job) {
  for (const std::string& id : options.confirm) {
    if (std::ranges::find(job.driveset.rows, id, &job::DriveRow::drive_id) !=
        job.driveset.rows.end()) {
      continue;
    }
    throw Error(ErrorKind::kUsage, "drive-unknown",
                "--confirm " + id + ": " + job.driveset.file.string() + " has no drive of this id",
                "Give the DriveId of the drive whose contents may be destroyed.");
  }
}

JudgedDrives judge_drives(const PrepareOptions& options, const job::Job& job, JobDrives& drives,
                          const journal::Journal* journal) {
  const GivenConsent given{options.confirm, !options.plan_digest.empty()};
  const bool begun = !nothing_begun(journal);
  JudgedDrives judged;
  for (const job::DriveRow& row : job.driveset.rows) {
    const std::optional<journal::Drive> known =
        journal != nullptr ? journal->drive(row.drive_id) : std::nullopt;
    if (known && known->state == journal::DriveState::kFinished) continue;
    try {
      judged.allowed.emplace(row.drive_id, judge_drive(drives.candidate(row), row, journal, given));
    } catch (const Error& error) {
      if (!begun || error.kind() == ErrorKind::kUsage) throw;
      judged.refused.emplace(row.drive_id, error);
    }
  }
  if (judged.allowed.empty() && !judged.refused.empty()) throw judged.refused.begin()->second;
  return judged;
}

std::map<std::string, guard::VettedDrive> vet_drives(const plan::PlanStore& plan,
                                                     std::map<std::string, JudgedDrive> judged) {
  std::map<std::string, guard::VettedDrive> vetted;
  for (const plan::DrivePlan& drive : plan.drives()) {
    const auto target = judged.find(drive.drive_id);
    if (drive.files == 0 || target == judged.end()) continue;
    require_same_appearance(drive, target->second);
    std::optional<guard::VettedDrive> answer = vet_with_consent(std::move(target->second));
    if (!answer) return {};
    vetted.emplace(drive.drive_id, std::move(*answer));
  }
  return vetted;
}

bool any_question(const plan::PlanStore& plan, const std::map<std::string, JudgedDrive>& judged) {
  return std::ranges::any_of(plan.drives(), [&](const plan::DrivePlan& drive) {
    const auto target = judged.find(drive.drive_id);
    return drive.files > 0 && target != judged.end() && target->second.ask;
  });
}

std::vector<prepare::DriveOutcome> left_out_drives(const JudgedDrives& judged,
                                                   const plan::PlanStore& plan,
                                                   const journal::Journal* journal) {
  std::vector<prepare::DriveOutcome> outcomes;
  for (const plan::DrivePlan& drive : plan.drives()) {
    const auto refused = judged.refused.find(drive.drive_id);
    if (drive.files == 0 || refused == judged.refused.end()) continue;
    prepare::DriveOutcome outcome;
    outcome.drive_id = drive.drive_id;
    if (const auto known = journal->drive(drive.drive_id)) outcome.state = known->state;
    outcome.error = refused->second;
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

}  // namespace driveprep::cli

#include "agent/cli/consent.h"

#include <algorithm>
#include <utility>

#include "agent/cli/drive_question.h"
#include "agent/cli/stop_signals.h"
#include "agent/cli/terminal_answer.h"
#include "agent/prepare/drive_preparation.h"
#include "agent/report/sizes.h"

namespace driveprep::cli {
namespace {

guard::Consent consent_of(const job::DriveRow& row, const journal::Journal* journal) {
  guard::Consent consent;
  consent.format = true;
  consent.silent = !row.prompt_on_format;
  if (journal == nullptr) return consent;
  const std::optional<journal::Drive> drive = journal->drive(row.drive_id);
  consent.begun = prepare::begun_before(drive);
  if (drive && prepare::failed_verification(*drive)) {
    consent.replaces = "drive " + row.drive_id + " was made before and failed its verification (" +
                       drive->verification->result +
                       "): making it anew replaces it and its recovery password";
  }
  return consent;
}

}  // namespace

JudgedDrive judge_drive(const guard::Candidate& candidate, const job::DriveRow& row,
                        const journal::Journal* journal, const GivenConsent& given) {
  JudgedDrive drive{candidate, consent_of(row, journal)};
  if (std::ranges::find(given.confirmed, row.drive_id) != given.confirmed.end()) {
    drive.consent.confirmed_id = row.drive_id;
  } else if (given.plan && candidate.is_disk() && !drive.consent.replaces) {
    drive.consent.confirmed_id = row.drive_id;
    drive.by_plan = true;
  }
  const guard::Verdict verdict = candidate.judge(drive.consent);
  // An answer out of a pipe is no consent.
  drive.ask = only_consent_missing(verdict) && can_ask();
  if (!drive.ask) verdict.throw_if_refused();
  return drive;
}

std::optional<guard::VettedDrive> vet_with_consent(JudgedDrive drive) {
  if (drive.ask)
    drive.consent.confirmed_id = ask_for_drive_id(drive.candidate, drive.consent.replaces,
                                                  "Everything on it will be destroyed.");
  if (stop_requested()) return std::nullopt;
  return guard::vet(std::move(drive.candidate), std::move(drive.consent));
}

TargetOutlook outlook(const guard::Candidate& candidate, const job::DriveRow& row,
                      const journal::Journal* journal) {
  guard::Consent consent = consent_of(row, journal);
  TargetOutlook outlook;
  const std::optional<journal::Drive> known =
      journal != nullptr ? journal->drive(row.drive_id) : std::nullopt;
  outlook.finished = known && known->state == journal::DriveState::kFinished;
  outlook.continues = consent.begun.has_value() && !outlook.finished;
  outlook.needs_confirmation = wants_confirmation(candidate.judge(consent));
  consent.confirmed_id = row.drive_id;
  candidate.judge(consent).throw_if_refused();
  outlook.contents = candidate.contents().description;
  if (candidate.is_disk()) {
    outlook.device = candidate.name();
    outlook.warnings = guard::warnings_of(candidate.disk());
  }
  return outlook;
}

}  // namespace driveprep::cli

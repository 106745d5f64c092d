#include "agent/cli/consent.h"

#include <algorithm>
#include <utility>

#include "agent/cli/job_session.h"
#include "agent/cli/output.h"
#include "agent/cli/stop_signals.h"
#include "agent/cli/terminal_answer.h"
#include "agent/prepare/drive_preparation.h"
#include "agent/report/sizes.h"

namespace driveprep::cli {
namespace {

std::optional<std::string> ask_for_drive_id(const guard::ImageFacts& facts,
                                            const guard::Consent& consent) {
  const inventory::Contents& contents = facts.contents.value();
  const CleanStop clean_stop;  // before the question shows: the answer may be Ctrl-C
  note("\n" + printable(facts.request.path.string()) + " (" +
       report::human_bytes(facts.identity.value().size) + ") is " +
       (contents.holds_something() ? "not empty: " + printable(contents.description) : "empty"));
  if (consent.replaces) note(*consent.replaces + ".");
  note("Everything on it will be destroyed. Type its drive id (" + facts.request.drive_id +
       ") to agree:");
  return read_answer();
}

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

JudgedImage judge_image(const job::Job& job, const job::DriveRow& row,
                        const journal::Journal* journal,
                        const std::vector<std::string>& confirmed) {
  JudgedImage image{guard::gather_image_facts(image_request(job, row)), consent_of(row, journal)};
  if (std::ranges::find(confirmed, row.drive_id) != confirmed.end()) {
    image.consent.confirmed_id = row.drive_id;
  }
  const guard::Verdict verdict = guard::judge(image.facts, image.consent);
  const bool only_consent_missing =
      verdict.reasons.size() == 1 && verdict.has("image-not-confirmed");
  // An answer out of a pipe is no consent.
  image.ask = only_consent_missing && can_ask();
  if (!image.ask) verdict.throw_if_refused();
  return image;
}

std::optional<guard::VettedImage> vet_with_consent(JudgedImage image) {
  if (image.ask) image.consent.confirmed_id = ask_for_drive_id(image.facts, image.consent);
  if (stop_requested()) return std::nullopt;
  return guard::vet(std::move(image.facts), std::move(image.consent));
}

TargetOutlook outlook(const job::Job& job, const job::DriveRow& row,
                      const journal::Journal* journal) {
  const guard::ImageFacts facts = guard::gather_image_facts(image_request(job, row));
  guard::Consent consent = consent_of(row, journal);
  TargetOutlook outlook;
  const std::optional<journal::Drive> known =
      journal != nullptr ? journal->drive(row.drive_id) : std::nullopt;
  outlook.finished = known && known->state == journal::DriveState::kFinished;
  outlook.continues = consent.begun.has_value() && !outlook.finished;
  outlook.needs_confirmation = guard::judge(facts, consent).has("image-not-confirmed");
  consent.confirmed_id = row.drive_id;
  guard::judge(facts, consent).throw_if_refused();
  outlook.contents = facts.contents.value().description;
  return outlook;
}

}  // namespace driveprep::cli

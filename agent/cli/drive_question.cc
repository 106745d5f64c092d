#include "agent/cli/drive_question.h"

#include "agent/cli/output.h"
#include "agent/cli/stop_signals.h"
#include "agent/cli/terminal_answer.h"
#include "agent/report/sizes.h"

namespace driveprep::cli {

std::string description(const guard::Candidate& candidate) {
  std::string text = printable(candidate.name());
  if (!candidate.is_disk()) return text + " (" + report::human_bytes(candidate.size()) + ")";
  const inventory::DiskFacts& facts = candidate.disk().disk;
  const inventory::DriveIdentity identity = facts.identity();
  text += ": ";
  if (identity.model) text += identity.model->value + ", ";
  if (identity.serial) {
    text += "serial number " + identity.serial->value + " (" +
            std::string(inventory::to_string(identity.serial->source)) + "), ";
  }
  text += report::human_bytes(candidate.size());
  if (facts.reports.known()) {
    text += ", " + std::string(inventory::to_string(facts.reports.value().bus));
  }
  if (!facts.bus_path.empty()) text += ", " + facts.bus_path;
  if (facts.backing_file.known() && !facts.backing_file.value().empty()) {
    text += ", of the file " + printable(facts.backing_file.value());
  }
  return text;
}

std::optional<std::string> ask_for_drive_id(const guard::Candidate& candidate,
                                            const std::optional<std::string>& also,
                                            const std::string& what_happens) {
  const inventory::Contents& contents = candidate.contents();
  const CleanStop clean_stop;  // before the question shows: the answer may be Ctrl-C
  forget_typed_ahead();
  note("\n" + description(candidate) + (candidate.is_disk() ? "\nis " : " is ") +
       (contents.holds_something() ? "not empty: " + printable(contents.description) : "empty"));
  if (candidate.is_disk()) {
    for (const std::string& warning : guard::warnings_of(candidate.disk())) {
      note("Warning: " + warning + ".");
    }
  }
  if (also) note(*also + ".");
  note(what_happens + " Type its " +
       std::string(candidate.is_disk() ? "serial number" : "drive id") + " (" +
       candidate.drive_id() + ") to agree:");
  return read_answer();
}

bool only_consent_missing(const guard::Verdict& verdict) {
  return verdict.reasons.size() == 1 &&
         (verdict.has("image-not-confirmed") || verdict.has("disk-not-confirmed"));
}

bool wants_confirmation(const guard::Verdict& verdict) {
  return verdict.has("image-not-confirmed") || verdict.has("disk-not-confirmed");
}

}  // namespace driveprep::cli

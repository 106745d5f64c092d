#include "agent/cli/outcome_output.h"

#include "agent/cli/output.h"
#include "agent/cli/stop_signals.h"
#include "agent/prepare/drive_health.h"
#include "agent/prepare/job_preparation.h"
#include "agent/report/sizes.h"

namespace driveprep::cli {
namespace {

constexpr std::size_t kFailuresShown = 20;
constexpr std::size_t kMismatchesShown = 10;

void print_failures(const OutcomeReport& report, const prepare::DriveOutcome& outcome) {
  for (const journal::Failure& failure :
       report.journal.failures(outcome.drive_id, 0, kFailuresShown)) {
    print("    " + printable(failure.message) + " (" + failure.code + ")");
  }
  if (outcome.failures > kFailuresShown) {
    print("    ... and " + report::human_count(outcome.failures - kFailuresShown) +
          " more (driveprep status --json lists them)");
  }
}

void print_outcome(const OutcomeReport& report, const prepare::DriveOutcome& outcome) {
  std::string line = outcome.drive_id + "  " + std::string(journal::to_string(outcome.state));
  if (outcome.verification && !outcome.stopped) {
    line += ": " + verification_text(*outcome.verification);
  }
  print(line);
  if (outcome.stopped) {
    print(outcome.state == journal::DriveState::kVerifying
              ? "    stopped while reading back; all is copied"
              : "    stopped; what was copied is safe");
  }
  if (outcome.error) {
    print("    " + printable(outcome.error->what()));
    if (!outcome.error->remedy().empty()) print("    what to do: " + outcome.error->remedy());
  }
  for (const std::string& warning : outcome.warnings) print("    warning: " + printable(warning));
  if (outcome.failures > 0) print_failures(report, outcome);
  if (outcome.verification) {
    std::size_t shown = 0;
    for (const prepare::Mismatch& mismatch : outcome.verification->mismatches) {
      if (++shown > kMismatchesShown) break;
      print("    " + printable(mismatch.blob) + " at byte " + std::to_string(mismatch.offset) +
            ": " + mismatch.what);
    }
  }
}

// Milliseconds spent in each phase.
nlohmann::ordered_json phases_json(const report::DriveProgress& progress) {
  nlohmann::ordered_json phases = nlohmann::ordered_json::object();
  for (const report::Phase phase :
       {report::Phase::kFormatting, report::Phase::kCopying, report::Phase::kFinishing,
        report::Phase::kVerifying, report::Phase::kSealing}) {
    phases[std::string(report::to_string(phase))] = progress.spent(phase).count();
  }
  return phases;
}

nlohmann::ordered_json outcome_json(const OutcomeReport& report,
                                    const prepare::DriveOutcome& outcome,
                                    const report::DriveProgress& progress) {
  nlohmann::ordered_json entry = {{"id", outcome.drive_id},
                                  {"state", journal::to_string(outcome.state)},
                                  {"stopped", outcome.stopped},
                                  {"failed_sources", outcome.failures},
                                  {"phases_ms", phases_json(progress)},
                                  {"exit", 0},
                                  {"error", nullptr},
                                  {"verification", nullptr}};
  if (outcome.error) {
    entry["exit"] = static_cast<int>(outcome.error->kind());
    entry["error"] = error_json(*outcome.error);
  }
  if (outcome.verification) entry["verification"] = verification_json(*outcome.verification);
  entry["health"] = {{"before", prepare::health_json(outcome.health_before)},
                     {"after", prepare::health_json(outcome.health_after)}};
  entry["warnings"] = outcome.warnings;
  nlohmann::ordered_json failures = nlohmann::ordered_json::array();
  for (const journal::Failure& failure : report.journal.failures(outcome.drive_id, 0, 1000)) {
    failures.push_back(
        {{"source", failure.path}, {"code", failure.code}, {"message", failure.message}});
  }
  entry["failures"] = std::move(failures);
  return entry;
}

}  // namespace

std::string verification_text(const prepare::VerifyReport& report) {
  if (report.inconsistency) return "the file system is not whole, its files were not read";
  std::string text = report.ok() ? "every block read back equal"
                                 : report::counted(report.mismatch_count, "difference");
  text += ", " + report::counted(report.files, "file") + ", " +
          report::counted(report.blocks, "block") + ", " + report::human_bytes(report.bytes);
  if (report.empty_bytes > 0) {
    text += " (and " + report::human_bytes(report.empty_bytes) +
            " of empty page blob ranges, which are not listed)";
  }
  text += report.cache_bypassed
              ? ", page cache bypassed"
              : ", but through the page cache: this file system has no direct input and output";
  return text;
}

nlohmann::ordered_json verification_json(const prepare::VerifyReport& report) {
  nlohmann::ordered_json mismatches = nlohmann::ordered_json::array();
  for (const prepare::Mismatch& mismatch : report.mismatches) {
    mismatches.push_back(
        {{"blob", mismatch.blob}, {"offset", mismatch.offset}, {"what", mismatch.what}});
  }
  return {{"ok", report.ok()},
          {"files", report.files},
          {"blocks", report.blocks},
          {"bytes", report.bytes},
          {"empty_bytes", report.empty_bytes},
          {"cache_bypassed", report.cache_bypassed},
          {"mismatch_count", report.mismatch_count},
          {"mismatches", mismatches},
          {"inconsistency", report.inconsistency ? nlohmann::ordered_json(*report.inconsistency)
                                                 : nlohmann::ordered_json()}};
}

int report_outcomes(const OutcomeReport& report) {
  std::vector<ErrorKind> kinds;
  bool stopped = false;
  std::size_t shipped = 0;
  for (const plan::DrivePlan& drive : report.plan.drives()) shipped += drive.files > 0 ? 1 : 0;
  for (const prepare::DriveOutcome& outcome : report.outcomes) {
    if (outcome.error) kinds.push_back(outcome.error->kind());
    stopped = stopped || outcome.stopped;
  }
  int status = prepare::exit_status(shipped, kinds);
  if (status == 0 && stopped) status = stop_exit_status();

  if (report.json) {
    nlohmann::ordered_json drives = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < report.outcomes.size(); ++i) {
      drives.push_back(outcome_json(report, report.outcomes[i], report.progress[i]));
    }
    print_json({{"schema", 1},
                {"job", report.path},
                {"name", report.name},
                {"exit", status},
                {"seconds", report.elapsed.count()},
                {"plan_digest", report.plan.digest_text()},
                {"drives", drives}});
    return status;
  }
  print("");
  if (report.outcomes.empty()) print("Nothing to do: every drive of this job is finished.");
  for (const prepare::DriveOutcome& outcome : report.outcomes) print_outcome(report, outcome);
  for (const plan::DrivePlan& drive : report.plan.drives()) {
    if (drive.files == 0) print(drive.drive_id + "  not needed: it was left as it is");
  }
  print("\nThis took " + report::human_duration(report.elapsed) + ".");
  if (status == 0) {
    print("Next: driveprep request " + report.job);
  } else {
    print("To go on: driveprep prepare " + report.job);
  }
  return status;
}

}  // namespace driveprep::cli

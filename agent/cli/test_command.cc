#include "agent/cli/test_command.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "agent/cli/output.h"
#include "agent/cli/stop_signals.h"
#include "agent/cli/test_output.h"
#include "agent/cli/watched_disk.h"
#include "agent/intake/conclusion.h"
#include "agent/prepare/drive_health.h"
#include "agent/report/progress_display.h"

namespace driveprep::cli {
namespace {

using intake::Coverage;

struct Tested {
  intake::SampleResult sample;
  bool cache_bypassed = false;
  std::vector<std::string> warnings = {};
};

Tested run_watched(guard::ArmedDrive& drive, Coverage coverage, report::DriveProgress& progress) {
  const Guid run = Guid::random();
  const std::uint64_t size = drive.device().size();
  WatchedDisk watched(drive, progress);
  intake::SampleResult sample = intake::run_sample(
      {.device = drive.device(),
       .open_for_reading = [&] { return watched.open_for_reading(); },
       .places = coverage == Coverage::kWhole ? intake::Places::whole(size)
                                              : intake::Places::sample(size, intake::seed_of(run)),
       .run = run,
       .before_each = [&] { watched.wait_while_hot(); },
       .progress = &progress,
       .stop = &stop_requested()});
  return {std::move(sample), watched.cache_bypassed(), watched.warnings()};
}

int exit_status_of(const TestReport& report) {
  if (!report.reasons.empty()) return static_cast<int>(report.reasons.front().kind);
  return report.sample.stopped ? stop_exit_status() : 0;
}

report::Phase end_of(const TestReport& report) {
  if (report.passed()) return report::Phase::kDone;
  return report.stopped() ? report::Phase::kStopped : report::Phase::kFailed;
}

}  // namespace

int run_test(const TestOptions& options) {
  const Coverage coverage = options.full ? Coverage::kWhole : Coverage::kSample;
  DiskChoice choice(options);
  const std::string over = options.full ? "all" : "parts";
  const std::optional<guard::VettedDrive> vetted =
      choice.vet(std::nullopt, "Everything on it will be destroyed: the test writes over " + over +
                                   " of it and keeps nothing.");
  if (!vetted) {
    note("\ndriveprep: stopped");
    return stop_exit_status();
  }
  report::DriveProgress progress(vetted->candidate().drive_id());
  const CleanStop clean_stop;
  std::optional<report::ProgressDisplay> display;
  display.emplace(std::vector<const report::DriveProgress*>{&progress},
                  options.json ? report::ProgressStyle::kJson : report::progress_style_for_stderr(),
                  &stop_requested());
  progress.begin(report::Phase::kOpening);
  guard::ArmedDrive drive = guard::arm(*vetted);
  const std::optional<inventory::Health> before = drive.health_when_armed();
  Tested tested = run_watched(drive, coverage, progress);
  TestReport report{.drive = drive.candidate(),
                    .coverage = coverage,
                    .sample = tested.sample,
                    .cache_bypassed = tested.cache_bypassed,
                    .before = before,
                    .after = prepare::health_after(drive),
                    .warnings = guard::warnings_of(drive.candidate().disk())};
  if (drive.candidate().sector() != SectorSize(512)) {
    report.warnings.push_back("the import service does not take drives with sectors of 4096 bytes");
  }
  report.warnings.insert(report.warnings.end(), tested.warnings.begin(), tested.warnings.end());
  report.reasons = intake::conclude(drive.candidate().name(), tested.sample,
                                    {.worse = prepare::deterioration(report.before, report.after),
                                     .untold = prepare::silence(report.before, report.after)});
  progress.begin(end_of(report));
  display.reset();

  const int status = exit_status_of(report);
  if (options.json) {
    print_json(test_json(report, status));
  } else {
    print(test_text(report));
  }
  return status;
}

void add_test_command(CLI::App& app, std::function<int()>& command) {
  const auto options = std::make_shared<TestOptions>();
  CLI::App* test = app.add_subcommand(
      "test",
      "Test a drive before it is used: is it as large as it says,\ndoes it keep what is written?");
  test->add_option("SERIAL", options->disk, "Its serial number, name or path")
      ->required()
      ->type_name("");
  test->add_flag("--full", options->full,
                 "Write and read every byte, not only chosen places:\nhours, and the only way to "
                 "find every lie");
  test->add_option("--confirm", options->confirm,
                   "Agree that what is on the drive with this serial\nnumber is destroyed")
      ->type_name("SERIAL")
      ->allow_extra_args(false);
  test->add_option("--accept", options->accept,
                   "Accept one reason against the drive, as driveprep\ndrives --explain names it "
                   "(repeatable)")
      ->type_name("REASON:ID")
      ->allow_extra_args(false);
  test->add_flag("--json", options->json,
                 "Result as one JSON document on standard output;\n"
                 "progress as one JSON object a line on standard error");
  test->footer(
      "Writes:\n  the drive: what is on it is destroyed; nothing of it is kept. Afterwards\n"
      "  it holds zeros at both ends, and does not look like anything\n\n"
      "Example:\n  sudo driveprep test WD-WX51A1234567");
  test->callback([&command, options] { command = [options] { return run_test(*options); }; });
}

}  // namespace driveprep::cli

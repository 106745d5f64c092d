#include "agent/cli/plan_output.h"

#include <unistd.h>

#include <cstdio>

#include "agent/cli/output.h"

namespace driveprep::cli {
namespace {

constexpr std::size_t kFindingsShown = 20;

}  // namespace

nlohmann::ordered_json plan_json(const plan::PlanStore& plan) {
  nlohmann::ordered_json drives = nlohmann::ordered_json::array();
  for (const plan::DrivePlan& drive : plan.drives()) {
    drives.push_back({{"id", drive.drive_id},
                      {"target", drive.target.string()},
                      {"disk_bytes", drive.disk_bytes},
                      {"sector_bytes", drive.sector_size},
                      {"usable_bytes", drive.usable_bytes},
                      {"estimated_bytes", drive.estimated_bytes},
                      {"files", drive.files},
                      {"directories", drive.directories},
                      {"bytes", drive.bytes}});
  }
  nlohmann::ordered_json findings = nlohmann::ordered_json::array();
  for (const plan::Finding& finding : plan.findings(plan::kMaxProblemsListed)) {
    findings.push_back(
        {{"code", finding.code}, {"subject", finding.subject}, {"detail", finding.detail}});
  }
  nlohmann::ordered_json counts = nlohmann::ordered_json::object();
  for (const plan::FindingCount& count : plan.finding_counts()) counts[count.code] = count.count;
  return {{"session", plan.session()},
          {"digest", plan.digest_text()},
          {"files", plan.total_files()},
          {"bytes", plan.total_bytes()},
          {"drives", drives},
          {"finding_counts", counts},
          {"findings", findings}};
}

void print_plan(const plan::PlanStore& plan) {
  std::vector<std::vector<std::string>> rows = {
      {"DRIVE", "TARGET", "SIZE", "FOR DATA", "FILES", "DATA", "FILLED"}};
  for (const plan::DrivePlan& drive : plan.drives()) {
    const std::uint64_t percent =
        drive.usable_bytes > 0 ? drive.estimated_bytes * 100 / drive.usable_bytes : 0;
    rows.push_back({drive.drive_id, printable(drive.target.string()),
                    report::human_bytes(drive.disk_bytes), report::human_bytes(drive.usable_bytes),
                    report::human_count(drive.files), report::human_bytes(drive.bytes),
                    std::to_string(percent) + " %"});
  }
  print(table(rows));
  print("\n" + report::counted(plan.total_files(), "file") + ", " +
        report::human_bytes(plan.total_bytes()) + ", session " + plan.session());
  print("plan digest " + plan.digest_text());
  std::uint64_t total = 0;
  for (const plan::FindingCount& count : plan.finding_counts()) total += count.count;
  if (total == 0) return;
  print("\nWorth knowing:");
  for (const plan::Finding& finding : plan.findings(kFindingsShown)) {
    print("  " + printable(finding.subject) + " " + printable(finding.detail) + " (" +
          finding.code + ")");
  }
  if (total > kFindingsShown) {
    print("  ... and " + report::human_count(total - kFindingsShown) + " more (--json lists them)");
  }
}

ScanNote::ScanNote() : terminal_(::isatty(STDERR_FILENO) != 0) {}

ScanNote::~ScanNote() {
  if (shown_) std::fputs("\r\x1b[2K", stderr);
}

plan::ScanProgress ScanNote::progress() {
  if (!terminal_) return {};
  return [this](std::uint64_t files, std::uint64_t bytes) {
    shown_ = true;
    std::fprintf(stderr, "\r\x1b[2Kscanning the sources: %s, %s",
                 report::counted(files, "file").c_str(), report::human_bytes(bytes).c_str());
  };
}

}  // namespace driveprep::cli

#include <algorithm>

#include "agent/cli/commands.h"
#include "agent/cli/consent.h"
#include "agent/cli/early_checks.h"
#include "agent/cli/job_drives.h"
#include "agent/cli/job_session.h"
#include "agent/cli/key_session.h"
#include "agent/cli/output.h"
#include "agent/cli/plan_output.h"
#include "agent/prepare/job_space.h"

namespace driveprep::cli {
namespace {

constexpr std::size_t kFilesShown = 20;  // of each drive, without --all

void print_files(const plan::PlanStore& plan, const plan::DrivePlan& drive, bool all) {
  print("\nDrive " + drive.drive_id + ":");
  plan::FileCursor cursor = plan.files(drive.index);
  plan::FileItem item;
  std::size_t shown = 0;
  while ((all || shown < kFilesShown) && cursor.next(item)) {
    print("  " + printable(item.source_path) + " -> " + printable(item.blob_path));
    ++shown;
  }
  if (drive.files > shown) {
    print("  ... and " + report::human_count(drive.files - shown) + " more (--all shows them)");
  }
}

nlohmann::ordered_json files_json(const plan::PlanStore& plan, const plan::DrivePlan& drive) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  plan::FileCursor cursor = plan.files(drive.index);
  plan::FileItem item;
  while (cursor.next(item)) {
    files.push_back({{"source", item.source_path},
                     {"blob", item.blob_path},
                     {"file", item.file_path},
                     {"bytes", item.size}});
  }
  return files;
}

void print_targets(const plan::PlanStore& plan, const std::vector<TargetOutlook>& targets) {
  for (const plan::DrivePlan& drive : plan.drives()) {
    const TargetOutlook& target = targets.at(drive.index);
    if (drive.files == 0) {
      print("\n" + drive.drive_id + " is not needed: nothing goes onto it.");
    } else if (target.finished) {
      print("\n" + drive.drive_id + " is finished: it will be left as it is.");
    } else if (target.continues) {
      print("\n" + drive.drive_id + " was begun by an earlier run and will be continued.");
    } else if (target.contents != "empty" || !target.device.empty()) {
      print(
          "\n" + drive.drive_id + (target.device.empty() ? "" : " (" + target.device + ")") +
          " holds: " + printable(target.contents) + ". All of it will be destroyed" +
          (target.needs_confirmation ? "; prepare wants --confirm " + drive.drive_id + "." : "."));
    }
    for (const std::string& warning : target.warnings) print("  Warning: " + warning + ".");
  }
}

plan::PlanStore private_plan(const job::Job& job, JobDrives& drives) {
  ScanNote note;
  return plan::build_plan(job, drives.inputs(), {}, note.progress());
}

}  // namespace

int run_plan(const PlanOptions& options) {
  job::Job job = job::load_job(options.job);
  std::unique_ptr<journal::Journal> journal = journal::Journal::open_existing(job.directory.root());
  keys::JobKeys keys(job, key_operator());
  check_before_writing(keys, journal.get());
  JobDrives drives(job, journal.get(), parse_accepted(options.accept));
  std::vector<TargetOutlook> targets;
  for (const job::DriveRow& row : job.driveset.rows) {
    if (drives.finished_disk(row)) {
      targets.push_back({.finished = true});
    } else {
      targets.push_back(outlook(drives.candidate(row), row, journal.get()));
    }
  }
  const plan::PlanStore plan = private_plan(job, drives);
  prepare::check_space(job.directory, plan, journal.get());
  if (options.json) {
    nlohmann::ordered_json document = result_head(job.directory, job.spec.name);
    document.update(plan_json(plan));
    for (std::size_t i = 0; i < targets.size(); ++i) {
      document["drives"][i]["contents"] = targets[i].contents;
      document["drives"][i]["needs_confirmation"] = targets[i].needs_confirmation;
      document["drives"][i]["continues"] = targets[i].continues;
      document["drives"][i]["finished"] = targets[i].finished;
      if (!targets[i].device.empty()) {
        document["drives"][i]["device"] = targets[i].device;
        document["drives"][i]["warnings"] = targets[i].warnings;
      }
    }
    if (options.all) {
      for (const plan::DrivePlan& drive : plan.drives()) {
        document["drives"][drive.index]["placement"] = files_json(plan, drive);
      }
    }
    print_json(document);
    return 0;
  }
  print_plan(plan);
  print_targets(plan, targets);
  for (const plan::DrivePlan& drive : plan.drives()) print_files(plan, drive, options.all);
  print("\nNothing was written. Next: driveprep prepare " + options.job);
  return 0;
}

}  // namespace driveprep::cli

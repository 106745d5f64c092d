// The drives of a job as the guard wants to know them: image files and disks, found once.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/job/job_directory.h"
#include "agent/journal/journal.h"
#include "agent/plan/build_plan.h"
#include "drive/guard/drive_target.h"

namespace driveprep::cli {

// "--accept REASON:ID": what is accepted for each drive. Throws kUsage "accept-malformed" and
// "accept-unknown" (no reason that can be accepted).
using Accepted = std::map<std::string, std::set<std::string>>;
Accepted parse_accepted(const std::vector<std::string>& options);

// How plan and journal name the target of a row: the path of an image; a disk as the row does.
std::filesystem::path target_of(const job::DriveRow& row);

class JobDrives {
 public:
  // Gives rows of disks that have no DriveId the disk's serial number; a drive that was begun keeps
  // the id it has in the journal, wherever it is now. Looks at the machine only when the job names
  // disks. `job` and `journal` (may be null) must outlive this. Throws kBusy "disk-not-there",
  // kUsage "csv-drive-id-missing", "csv-drive-id-repeated", "drive-unknown" (accepted for no drive
  // of the job), kRefused "disk-serial-unusable".
  JobDrives(job::Job& job, const journal::Journal* journal, Accepted accepted);

  // What is known of the drive of a row, with its contents; looked at once.
  const guard::Candidate& candidate(const job::DriveRow& row);
  // The same without looking for contents: for a drive that is only read.
  guard::Candidate found(const job::DriveRow& row);

  // What the journal has of a disk that this job has finished: it may be on its way already, and is
  // not looked for. nullopt for anything else.
  std::optional<journal::Drive> finished_disk(const job::DriveRow& row) const;

  // What the planner needs of each drive of the driveset. Throws what speaks against a target that
  // cannot be measured (missing, not a file).
  std::vector<plan::DriveInput> inputs();

  // The row of a drive of the journal; nullptr when the driveset has none any more.
  const job::DriveRow* row_of(const journal::Drive& drive) const;

 private:
  const guard::Machine& machine();
  guard::DiskRequest disk_request(const job::DriveRow& row) const;
  guard::ImageRequest image_request(const job::DriveRow& row) const;
  void name(job::DriveRow& row);
  void require_distinct(const job::DriveRow& row, const guard::Candidate& disk) const;

  job::Job& job_;
  const journal::Journal* journal_;
  Accepted accepted_;
  std::unique_ptr<guard::Machine> machine_;
  std::map<unsigned, guard::Candidate> candidates_;  // by line
};

}  // namespace driveprep::cli

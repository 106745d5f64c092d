// The operator's agreement that what is on a drive may be destroyed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/job/job_directory.h"
#include "agent/journal/journal.h"
#include "drive/guard/drive_target.h"

namespace driveprep::cli {

// What the operator has agreed to on the command line.
struct GivenConsent {
  std::vector<std::string> confirmed;  // drive ids
  bool plan = false;                   // --plan: the disks of that plan, as they were then
};

// A target that nothing speaks against, but for a consent that can still be asked for.
struct JudgedDrive {
  guard::Candidate candidate;
  guard::Consent consent;
  bool by_plan = false;  // confirmed by the digest of the plan, which has to be seen to first
  bool ask = false;      // only consent is missing, and there is a terminal
};

// Judges the drive of one row of the driveset. Throws what speaks against it. `journal` may be
// null.
JudgedDrive judge_drive(const guard::Candidate& candidate, const job::DriveRow& row,
                        const journal::Journal* journal, const GivenConsent& given);

// Where it has to be asked, shows the drive and what is on it, and waits for its id to be typed;
// one try. nullopt when a signal came instead of an answer (stop_requested()).
std::optional<guard::VettedDrive> vet_with_consent(JudgedDrive drive);

// What a plan can say of the target of one row without touching it.
struct TargetOutlook {
  std::string contents = {};  // "empty", "GPT, NTFS 'Backup'"
  std::string device = {};    // "/dev/sdb" of a disk; "" of an image
  std::vector<std::string> warnings = {};
  bool needs_confirmation = false;
  bool continues = false;  // begun by an earlier run of this job
  bool finished = false;   // by an earlier run of this job
};
// Throws what speaks against the target whatever the operator agrees to. `journal` may be null.
TargetOutlook outlook(const guard::Candidate& candidate, const job::DriveRow& row,
                      const journal::Journal* journal);

}  // namespace driveprep::cli

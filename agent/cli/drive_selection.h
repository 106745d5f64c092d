// Which drives of the job a run of prepare goes on with: judged all together, asked for one by one,
// before the first one is touched.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/cli/commands.h"
#include "agent/cli/consent.h"
#include "agent/cli/job_drives.h"
#include "agent/plan/plan_store.h"
#include "agent/prepare/drive_preparation.h"

namespace driveprep::cli {

// "--confirm ID" has to name drives of the job. Throws kUsage "drive-unknown".
void require_known_drives(const PrepareOptions& options, const job::Job& job);

// By drive id.
struct JudgedDrives {
  std::map<std::string, JudgedDrive> allowed;
  // What speaks against a drive of a job that was begun: the others go on without it.
  std::map<std::string, Error> refused;
};

// Every drive that is not finished yet. Throws what speaks against one: with a job of which nothing
// was begun, or where no other drive goes on, or when the driveset itself is wrong (kUsage).
// `journal` may be null.
JudgedDrives judge_drives(const PrepareOptions& options, const job::Job& job, JobDrives& drives,
                          const journal::Journal* journal);

// Whether somebody will be asked.
bool any_question(const plan::PlanStore& plan, const std::map<std::string, JudgedDrive>& judged);

// The drives that get files and are not finished. Asks where consent is missing; the rest is empty
// after a stop (stop_requested()).
std::map<std::string, guard::VettedDrive> vet_drives(const plan::PlanStore& plan,
                                                     std::map<std::string, JudgedDrive> judged);

// The refused drives that should have got files, as they are in the journal.
std::vector<prepare::DriveOutcome> left_out_drives(const JudgedDrives& judged,
                                                   const plan::PlanStore& plan,
                                                   const journal::Journal* journal);

}  // namespace driveprep::cli

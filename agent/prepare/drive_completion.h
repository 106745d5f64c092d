// The end of a drive's preparation: everything has been written, and now it must be shown that the
// drive has kept it.
//
//   verify  a fresh reader compares every block
//   keep    the structures that no reader would miss are read back, SMART is asked again
//   seal    the volume header, last: only now does the drive look like one
#pragma once

#include <optional>

#include "agent/prepare/drive_monitor.h"
#include "agent/prepare/drive_preparation.h"
#include "agent/prepare/drive_session.h"

namespace driveprep::prepare {

// A drive with everything on it but its volume header. All must outlive the call.
struct WrittenDrive {
  const PrepareContext& context;
  const plan::DrivePlan& plan;
  const journal::VolumeFacts& facts;
  guard::ArmedDrive& armed;
  DriveSession& session;
  DriveMonitor& monitor;
  report::DriveProgress& progress;
};

// The state of the drive, in `outcome` and in the journal, is kFinished afterwards; or kVerifying
// when it was stopped; or kFailed with the error in `outcome`: it has lost something or has become
// worse, and is made anew by the next run. Throws what says nothing about that: verification and
// sealing begin again then.
void complete_drive(const WrittenDrive& drive, DriveOutcome& outcome);

}  // namespace driveprep::prepare

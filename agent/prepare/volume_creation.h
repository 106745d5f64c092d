// The first step of a drive: everything up to an empty, encrypted file system on it.
#pragma once

#include <memory>
#include <string>

#include "agent/prepare/drive_preparation.h"
#include "agent/prepare/drive_session.h"

namespace driveprep::prepare {

struct NewDrive {
  std::unique_ptr<DriveSession> session;
  journal::VolumeFacts facts;
  std::uint64_t free_clusters = 0;
};

// Makes the keys, stores the envelope, then wipes the target and writes table, BitLocker metadata
// and an empty NTFS. The volume header is not written: nothing takes the result for a finished
// drive. The journal knows the volume when this returns; there is no checkpoint yet. `destroys`:
// what the operator agreed to lose, for the audit trail.
NewDrive create_drive(const PrepareContext& context, const plan::DrivePlan& plan,
                      guard::ArmedDrive& target, const std::string& destroys);

}  // namespace driveprep::prepare

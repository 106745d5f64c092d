// The recovery password of a drive, out of its envelope beside the job.
#pragma once

#include <string>
#include <vector>

#include "agent/job/job_directory.h"
#include "agent/journal/journal.h"
#include "bitlocker/recovery_password.h"
#include "keywrap/envelope.h"

namespace driveprep::keys {

struct DriveKey {
  bitlocker::RecoveryPassword password;
  std::string kid;                    // the key version that opened the envelope
  std::vector<std::string> warnings;  // for the operator
};

// kKey "envelope-missing" when there is none; `state` of the drive decides what can be done then.
// Otherwise as keywrap::open().
DriveKey open_drive_envelope(const job::JobDirectory& directory, const std::string& job_id,
                             const std::string& drive_id, journal::DriveState state,
                             keywrap::KeyStore& keys,
                             keywrap::Accept accept = keywrap::Accept::kOurAlgorithm);

// The same for work on the drive; recorded, so that whoever asks later sees each time that the key
// was used. `why`: "continue", "verify", "seal".
bitlocker::RecoveryPassword use_recovery_password(journal::Journal& journal,
                                                  const job::JobDirectory& directory,
                                                  const std::string& job_id,
                                                  const std::string& drive_id,
                                                  journal::DriveState state,
                                                  keywrap::KeyStore& keys, const char* why);

}  // namespace driveprep::keys

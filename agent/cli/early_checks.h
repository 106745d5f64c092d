// What can be known to be wrong with a job before anything is written, by `plan` and `prepare`
// alike.
#pragma once

#include "agent/job/job_directory.h"
#include "agent/journal/journal.h"
#include "agent/keys/job_keys.h"

namespace driveprep::cli {

// Request parameters, key settings, key store, password file, and that no two drives are one image.
// `journal` may be null. Writes nothing, and asks no vault.
void check_before_writing(keys::JobKeys& keys, const journal::Journal* journal);

// Whether no drive of the job has been touched yet. `journal` may be null.
bool nothing_begun(const journal::Journal* journal);

// Whether every drive that gets files is finished. `journal` may be null.
bool all_finished(const journal::Journal* journal);

}  // namespace driveprep::cli

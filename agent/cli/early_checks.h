// What can be known to be wrong with a job before anything is written, by `plan` and `prepare`
// alike.
#pragma once

#include "agent/job/job_directory.h"
#include "agent/journal/journal.h"

namespace driveprep::cli {

// Request parameters, key settings, key store, password file, and that no two drives are one image.
// `journal` may be null. Writes nothing.
void check_before_writing(const job::Job& job, const journal::Journal* journal);

// Whether no drive of the job has been touched yet. `journal` may be null.
bool nothing_begun(const journal::Journal* journal);

}  // namespace driveprep::cli

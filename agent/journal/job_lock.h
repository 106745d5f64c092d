// One run at a time works on a job directory: an exclusive lock on JOB/.lock, held by the kernel
// until this object or its process ends. The file stays; only the lock counts.
#pragma once

#include <filesystem>

#include "base/unique_fd.h"

namespace driveprep::journal {

class JobLock {
 public:
  // Does not wait. Errors: kBusy "job-busy", naming the process that holds it; kWrite "open-failed"
  // when the directory is not writable; kUsage "job-lock-file" when .lock is not a regular file.
  explicit JobLock(const std::filesystem::path& job_directory);

 private:
  UniqueFd fd_;
};

}  // namespace driveprep::journal

// One run at a time works on a job directory: an exclusive lock on JOB/.lock, held by the kernel
// until this object or its process ends. Only the lock counts; the file goes with the object, and
// one that a killed process has left behind is taken over.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>

#include "base/unique_fd.h"

namespace driveprep::journal {

class JobLock {
 public:
  // Does not wait. Errors: kBusy "job-busy", naming the process that holds it; kWrite "open-failed"
  // when the directory is not writable; kUsage "job-lock-file" when .lock is not a regular file.
  explicit JobLock(const std::filesystem::path& job_directory);
  JobLock(const JobLock&) = delete;
  JobLock& operator=(const JobLock&) = delete;
  ~JobLock();

  // The process that holds the lock now, by what the kernel lists, so that looking gets in nobody's
  // way; nullopt when there is none, or none that can be seen from here.
  static std::optional<pid_t> holder(const std::filesystem::path& job_directory);

 private:
  std::filesystem::path path_;
  UniqueFd fd_;
};

}  // namespace driveprep::journal

// A system call that failed, with its number; and what such a failure means in the job directory, where
// driveprep's own files lie.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"

namespace driveprep {

class SystemError : public Error {
 public:
  // The text of `number` is appended to `attempt`, as Error::from_errno() does.
  SystemError(ErrorKind kind, std::string code, std::string attempt, int number,
              std::string remedy = {});

  int number() const { return number_; }

 private:
  int number_;
};

// kWrite "job-directory-full", "job-directory-read-only", else "job-directory-write".
Error job_directory_error(std::string attempt, int number);

// Throws `error` as "job-directory-full" or "job-directory-read-only" when the file system is that; else
// returns.
void throw_if_job_directory(const SystemError& error);

// Runs what works on a file in the job directory. The operator has to know that it is full or read-only,
// whichever of the files met it.
template <typename Work>
decltype(auto) in_job_directory(Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const SystemError& error) {
    throw_if_job_directory(error);
    throw;
  }
}

}  // namespace driveprep

#include "base/system_error.h"

#include <cerrno>

namespace driveprep {
namespace {

constexpr const char* kFreeSpace =
    "Free some space on the file system of the job directory, then run the same command again.";
constexpr const char* kMakeWritable = "Make the job directory writable for this user, or move it.";

}  // namespace

SystemError::SystemError(ErrorKind kind, std::string code, std::string attempt, int number,
                         std::string remedy)
    : Error(Error::from_errno(kind, std::move(code), std::move(attempt), number, std::move(remedy))),
      number_(number) {}

Error job_directory_error(std::string attempt, int number) {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
      return Error::from_errno(ErrorKind::kWrite, "job-directory-full", std::move(attempt), number,
                               kFreeSpace);
    case EACCES:
    case EPERM:
    case EROFS:
      return Error::from_errno(ErrorKind::kWrite, "job-directory-read-only", std::move(attempt),
                               number, kMakeWritable);
    default:
      return Error::from_errno(ErrorKind::kWrite, "job-directory-write", std::move(attempt), number,
                               "Check the file system of the job directory.");
  }
}

void throw_if_job_directory(const SystemError& error) {
  switch (error.number()) {
    case ENOSPC:
    case EDQUOT: throw Error(error.kind(), "job-directory-full", error.what(), kFreeSpace);
    case EROFS: throw Error(error.kind(), "job-directory-read-only", error.what(), kMakeWritable);
    default: return;
  }
}

}  // namespace driveprep

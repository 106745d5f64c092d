#include "agent/cli/volume_output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/posix.h"

namespace driveprep::cli {

ContentOutput::ContentOutput(const std::string& path) : path_(path) {
  if (path_ == "-") {
    fd_ = UniqueFd(::dup(STDOUT_FILENO));
    path_ = "standard output";
    return;
  }
  fd_ = UniqueFd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  made_ = fd_.valid();
  if (fd_.valid()) return;
  struct stat status {};
  const bool there = errno == EEXIST && ::stat(path_.c_str(), &status) == 0;
  if (there && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode))) {
    throw Error(ErrorKind::kUsage, "output-exists", path_ + " is there already",
                "Name a file that does not exist yet.");
  }
  if (there) fd_ = UniqueFd(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd_.valid()) {
    throw Error::from_errno(ErrorKind::kWrite, "output-failed", "create " + path_, errno,
                            "Name a file in a directory that this user can write to.");
  }
}

ContentOutput::~ContentOutput() {
  if (made_ && !kept_) ::unlink(path_.c_str());
}

void ContentOutput::keep() {
  if (made_) posix::fsync(fd_.get(), path_, ErrorKind::kWrite);
  kept_ = true;
}

}  // namespace driveprep::cli

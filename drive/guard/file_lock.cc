#include "drive/guard/file_lock.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/posix.h"

namespace driveprep::guard {
namespace {

constexpr int kAttempts = 5;
constexpr std::chrono::milliseconds kPause{100};

[[noreturn]] void locked(int fd, const std::string& name) {
  const struct stat status = posix::fstat(fd, name, ErrorKind::kBusy);
  if (S_ISBLK(status.st_mode)) {
    throw Error(ErrorKind::kBusy, "disk-locked",
                name + " is locked by another program (another run of driveprep, or udev)",
                "Wait for it to end, then try again; lslocks shows who holds the lock.");
  }
  throw Error(ErrorKind::kBusy, "image-busy", name + " is in use by another run of driveprep",
              "Wait for that run to end, then try again.");
}

}  // namespace

void lock(int fd, const std::string& name, Lock kind) {
  const int operation = kind == Lock::kExclusive ? LOCK_EX : LOCK_SH;
  for (int attempt = 1;; ++attempt) {
    if (::flock(fd, operation | LOCK_NB) == 0) return;
    if (errno != EWOULDBLOCK && errno != EINTR) {
      throw Error::from_errno(ErrorKind::kBusy, "image-busy", "lock " + name, errno,
                              "Keep the image on a file system that supports locks.");
    }
    if (attempt == kAttempts) locked(fd, name);
    std::this_thread::sleep_for(kPause);
  }
}

bool is_locked(int fd, const std::string& name) {
  try {
    lock(fd, name, Lock::kShared);
  } catch (const Error& error) {
    if (error.code() == "disk-locked") return true;
    throw;
  }
  ::flock(fd, LOCK_UN);
  return false;
}

void hold_for_reading(const block::FileDevice& target) {
  lock(target.fd(), target.name(), Lock::kShared);
}
void hold_for_writing(const block::FileDevice& target) {
  lock(target.fd(), target.name(), Lock::kExclusive);
}

}  // namespace driveprep::guard

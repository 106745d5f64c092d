#include "agent/journal/job_lock.h"

#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>

#include "base/posix.h"

namespace driveprep::journal {
namespace {

// Who wrote itself into the file last, in digits; empty when nobody did.
std::string process_in(int fd, const std::string& lock) {
  std::array<std::byte, 32> raw{};
  const std::size_t got = posix::pread_up_to(fd, 0, raw, lock, ErrorKind::kBusy);
  std::string process(as_text(ByteView(raw).first(got)));
  process.resize(std::min(process.find_first_not_of("0123456789"), process.size()));
  return process;
}

[[noreturn]] void busy(const std::filesystem::path& job, int fd, const std::string& lock) {
  const std::string holder = process_in(fd, lock);
  throw Error(ErrorKind::kBusy, "job-busy",
              "another run of driveprep works on " + job.string() +
                  (holder.empty() ? "" : " (process " + holder + ")"),
              "Wait for it to end, or stop it with SIGINT, then run the same command again.");
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

JobLock::JobLock(const std::filesystem::path& job_directory) {
  const std::filesystem::path path = job_directory / ".lock";
  const std::string name = path.string();
  // Whoever removes the file while we wait for nothing leaves us with a lock on an inode without a
  // name; then the next round finds the new file.
  for (int attempt = 0; attempt < 10; ++attempt) {
    UniqueFd fd = posix::open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, ErrorKind::kWrite);
    const struct stat opened = posix::fstat(fd.get(), name, ErrorKind::kWrite);
    if (!S_ISREG(opened.st_mode)) {
      throw Error(ErrorKind::kUsage, "job-lock-file", name + " is not a regular file",
                  "Remove it; driveprep makes its own.");
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) busy(job_directory, fd.get(), name);
      throw Error::from_errno(ErrorKind::kWrite, "lock-failed", "lock " + name, errno,
                              "Move the job directory to a local file system.");
    }
    struct stat named {};
    if (::lstat(path.c_str(), &named) != 0 || !same_file(opened, named)) continue;
    posix::ftruncate(fd.get(), 0, name, ErrorKind::kWrite);
    posix::pwrite_all(fd.get(), 0, as_bytes(std::to_string(::getpid()) + "\n"), name,
                      ErrorKind::kWrite);
    path_ = path;
    fd_ = std::move(fd);
    return;
  }
  throw Error(ErrorKind::kBusy, "job-busy", name + " keeps being replaced by another process",
              "Find the program that removes this file while driveprep starts.");
}

// A line of /proc/locks: "3: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF". The device in it is not
// always the one that stat tells (btrfs, overlays); process and inode are.
std::optional<pid_t> JobLock::holder(const std::filesystem::path& job_directory) {
  const std::filesystem::path path = job_directory / ".lock";
  try {
    const std::optional<UniqueFd> fd =
        posix::open_if_exists(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, ErrorKind::kBusy);
    if (!fd) return std::nullopt;
    const std::string process = process_in(fd->get(), path.string());
    const std::string inode =
        std::to_string(posix::fstat(fd->get(), path.string(), ErrorKind::kBusy).st_ino);
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
      std::istringstream words(line);
      std::string number, kind, mode, access, owner, file;
      words >> number >> kind >> mode >> access >> owner >> file;
      if (kind == "FLOCK" && owner == process && file.ends_with(":" + inode)) {
        return static_cast<pid_t>(std::stol(process));
      }
    }
  } catch (const Error&) {
    // A lock file that cannot be read is somebody else's.
  }
  return std::nullopt;
}

// Only our own file: an outsider may have replaced it, and another run may hold the new one.
JobLock::~JobLock() {
  struct stat ours {};
  struct stat named {};
  if (::fstat(fd_.get(), &ours) == 0 && ::lstat(path_.c_str(), &named) == 0 &&
      same_file(ours, named)) {
    ::unlink(path_.c_str());
  }
}

}  // namespace driveprep::journal

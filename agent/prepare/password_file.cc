#include "agent/prepare/password_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/posix.h"
#include "bitlocker/create.h"

namespace driveprep::prepare {
namespace {

// 256 UTF-16 units are at most 768 bytes of UTF-8; the rest tells a password that is too long.
constexpr std::size_t kLongestLine = 1024;

[[noreturn]] void unusable(const std::filesystem::path& path, const std::string& why) {
  throw Error(ErrorKind::kUsage, "password-file",
              "the password file " + path.string() + " cannot be used: " + why,
              "Make it a file that this user can read, or correct bitlocker/passwordFile in "
              "job.json.");
}

// A drive that has its volume and a checkpoint continues with what it has.
bool has_volume(const journal::Journal& journal, const journal::Drive& drive) {
  if (drive.state == journal::DriveState::kFinished) return true;
  const bool rejected = drive.verification && drive.verification->result != "ok";
  return drive.volume && journal.checkpoint(drive.id) && !rejected;
}

}  // namespace

std::optional<SecretBytes> read_password(const job::JobSpec& spec) {
  if (!spec.bitlocker.password_file) return std::nullopt;
  const std::filesystem::path& path = *spec.bitlocker.password_file;
  // Not blocking: a pipe would wait for a writer.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) unusable(path, errno == ELOOP ? "it is a symbolic link" : std::strerror(errno));
  if (!S_ISREG(posix::fstat(fd.get(), path.string(), ErrorKind::kUsage).st_mode)) {
    unusable(path, "it is not a regular file");
  }
  SecretBytes password(kLongestLine);
  password.truncate(
      posix::pread_up_to(fd.get(), 0, password.span(), path.string(), ErrorKind::kUsage));
  password.truncate(std::min(password.text().find_first_of("\r\n"), password.size()));
  bitlocker::check_password(password);
  return password;
}

void check_password_file(const job::Job& job, const journal::Journal* journal) {
  if (!job.spec.bitlocker.password_file) return;
  const bool needed = std::ranges::any_of(job.driveset.rows, [&](const job::DriveRow& row) {
    const std::optional<journal::Drive> drive =
        journal != nullptr ? journal->drive(row.drive_id) : std::nullopt;
    return !drive || (drive->planned_files > 0 && !has_volume(*journal, *drive));
  });
  if (needed) (void)read_password(job.spec);
}

}  // namespace driveprep::prepare

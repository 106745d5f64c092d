#include "agent/cli/secret_output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/posix.h"

namespace driveprep::cli {

void print_secret(std::string_view before, std::string_view secret, std::string_view after) {
  std::fflush(stdout);
  for (const std::string_view part : {before, secret, after}) {
    posix::write_all(STDOUT_FILENO, as_bytes(part), "standard output", ErrorKind::kWrite);
  }
}

SecretFile::SecretFile(std::filesystem::path path, ByteView content) : path_(std::move(path)) {
  const UniqueFd fd(
      ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid() && errno == EEXIST) {
    throw Error(
        ErrorKind::kUsage, "output-exists", path_.string() + " is there already",
        "Name a file that does not exist yet: no key or backup is written over another file.");
  }
  if (!fd.valid()) {
    throw Error::from_errno(ErrorKind::kWrite, "output-failed", "create " + path_.string(), errno,
                            "Name a file in a directory that this user can write to.");
  }
  try {
    posix::write_all(fd.get(), content, path_.string(), ErrorKind::kWrite);
    posix::fsync(fd.get(), path_.string(), ErrorKind::kWrite);
    posix::fsync_directory(std::filesystem::absolute(path_).parent_path(), ErrorKind::kWrite);
  } catch (...) {
    ::unlink(path_.c_str());
    throw;
  }
}

SecretFile::~SecretFile() {
  if (!kept_) ::unlink(path_.c_str());
}

}  // namespace driveprep::cli

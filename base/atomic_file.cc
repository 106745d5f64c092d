#include "base/atomic_file.h"

#include <stdlib.h>

#include <cerrno>

#include "base/posix.h"
#include "base/system_error.h"

namespace driveprep {

AtomicFile::AtomicFile(std::filesystem::path path, mode_t mode, ErrorKind kind)
    : path_(std::move(path)), kind_(kind) {
  std::string pattern = path_.string() + ".tmp-XXXXXX";
  fd_ = UniqueFd(mkostemp(pattern.data(), O_CLOEXEC));
  if (!fd_.valid()) {
    const int error_number = errno;
    throw SystemError(kind_, "create-failed", "create a file beside " + path_.string(),
                            error_number,
                            "Check that the directory exists, is writable and has free space.");
  }
  temporary_ = pattern;
  if (::fchmod(fd_.get(), mode) != 0) {
    const int error_number = errno;
    ::unlink(temporary_.c_str());
    throw SystemError(kind_, "chmod-failed", "set the mode of " + pattern, error_number);
  }
}

AtomicFile::~AtomicFile() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(ByteView data) {
  posix::write_all(fd_.get(), data, temporary_.string(), kind_);
}

void AtomicFile::commit() {
  posix::fsync(fd_.get(), temporary_.string(), kind_);
  if (::close(fd_.release()) != 0) {
    throw SystemError(kind_, "close-failed", "close " + temporary_.string(), errno);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    throw SystemError(kind_, "rename-failed", "rename to " + path_.string(), errno);
  }
  committed_ = true;
  const std::filesystem::path parent = path_.parent_path();
  posix::fsync_directory(parent.empty() ? std::filesystem::path(".") : parent, kind_);
}

void write_file_atomically(const std::filesystem::path& path, ByteView data, mode_t mode,
                           ErrorKind kind) {
  AtomicFile file(path, mode, kind);
  file.write(data);
  file.commit();
}

}  // namespace driveprep

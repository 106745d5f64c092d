#include "keywrap/private_file.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/atomic_file.h"
#include "base/directories.h"
#include "base/error.h"
#include "base/posix.h"

namespace driveprep::keywrap {
namespace {

namespace fs = std::filesystem;

constexpr ErrorKind kKind = ErrorKind::kKey;

[[noreturn]] void unsafe(const fs::path& path, const std::string& why, std::string remedy) {
  throw Error(kKind, "key-store-unsafe", path.string() + " " + why, std::move(remedy));
}

enum class Trust { kOwner, kServiceManager };

void require_private(const fs::path& path, const struct stat& status, mode_t type, Trust trust) {
  const bool directory = type == S_IFDIR;
  if ((status.st_mode & S_IFMT) != type) {
    unsafe(path, directory ? "is not a directory" : "is not a regular file",
           "Remove it, or name another key store.");
  }
  if (status.st_uid != geteuid() && !(trust == Trust::kServiceManager && status.st_uid == 0)) {
    unsafe(path,
           "belongs to user " + std::to_string(status.st_uid) + ", not to user " +
               std::to_string(geteuid()) + " who runs this",
           "Run as the owner of the key store, or name another key store.");
  }
  const mode_t others = trust == Trust::kServiceManager ? 037 : 077;
  if ((status.st_mode & others) != 0) {
    const std::string mode = directory ? "0700" : "0600";
    unsafe(path, "can be accessed by its group or by others",
           "Find out who may have read it, then run: chmod " + mode + " " + path.string());
  }
}

// O_NOFOLLOW is what protects; its ELOOP is put into words here.
std::optional<UniqueFd> open_private(const fs::path& path, int flags, mode_t type,
                                     Trust trust = Trust::kOwner) {
  const int fd = ::open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  const int error_number = errno;
  if (fd < 0 && error_number == ENOENT) return std::nullopt;
  struct stat link {};
  const bool is_link = fd < 0 && ::lstat(path.c_str(), &link) == 0 && S_ISLNK(link.st_mode);
  if (is_link) {
    unsafe(path, "is a symbolic link", "Put the real file in its place.");
  }
  if (fd < 0 && error_number == ENOTDIR) unsafe(path, "is not a directory", "Check the path.");
  if (fd < 0) throw Error::from_errno(kKind, "open-failed", "open " + path.string(), error_number);
  UniqueFd owned(fd);
  require_private(path, posix::fstat(fd, path.string(), kKind), type, trust);
  return owned;
}

std::size_t checked_size(int fd, const fs::path& file, std::size_t limit) {
  const auto size = static_cast<std::size_t>(posix::fstat(fd, file.string(), kKind).st_size);
  if (size > limit) {
    throw Error(kKind, "key-store-corrupt",
                file.string() + " has " + std::to_string(size) + " bytes, more than " +
                    std::to_string(limit),
                "Restore the key store from its backup.");
  }
  return size;
}

std::optional<SecretBytes> read_secret(const fs::path& file, std::size_t limit, Trust trust) {
  const auto fd = open_private(file, O_RDONLY, S_IFREG, trust);
  if (!fd) return std::nullopt;
  SecretBytes content(checked_size(fd->get(), file, limit));
  posix::pread_exact(fd->get(), 0, content.span(), file.string(), kKind);
  return content;
}

}  // namespace

bool check_private_directory(const fs::path& directory) {
  return open_private(directory, O_RDONLY | O_DIRECTORY, S_IFDIR).has_value();
}

void make_private_directory(const fs::path& directory) {
  if (check_private_directory(directory)) return;
  const fs::path parent = fs::absolute(directory).parent_path();
  create_directories_durably(parent, kKind);
  // Another process may have been quicker.
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    throw Error::from_errno(kKind, "create-failed", "create the directory " + directory.string(),
                            errno, "Check the path and its permissions.");
  }
  posix::fsync_directory(parent, kKind);
  require(check_private_directory(directory), "a directory vanished after it was made");
}

std::optional<Bytes> read_private_file(const fs::path& file, std::size_t limit) {
  const auto fd = open_private(file, O_RDONLY, S_IFREG);
  if (!fd) return std::nullopt;
  Bytes content(checked_size(fd->get(), file, limit));
  posix::pread_exact(fd->get(), 0, content, file.string(), kKind);
  return content;
}

std::optional<SecretBytes> read_private_secret(const fs::path& file, std::size_t limit) {
  return read_secret(file, limit, Trust::kOwner);
}

std::optional<SecretBytes> read_credential(const fs::path& file, std::size_t limit) {
  return read_secret(file, limit, Trust::kServiceManager);
}

void write_private_file(const fs::path& file, ByteView content) {
  write_file_atomically(file, content, 0600, kKind);
}

FileLock::FileLock(const fs::path& file) {
  auto fd = open_private(file, O_RDWR | O_CREAT, S_IFREG);
  if (!fd) {
    throw Error(kKind, "key-store-missing", "the directory of " + file.string() + " is gone",
                "Check the path of the key store.");
  }
  fd_ = std::move(*fd);
  while (::flock(fd_.get(), LOCK_EX) != 0) {
    if (errno == EINTR) continue;
    throw Error::from_errno(kKind, "lock-failed", "lock " + file.string(), errno);
  }
}

}  // namespace driveprep::keywrap

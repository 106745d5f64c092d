#include "base/posix.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/system_error.h"

namespace driveprep::posix {
namespace {

template <typename Call>
auto retry_on_eintr(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

std::string at(const std::string& name, std::uint64_t offset, std::size_t length) {
  return name + " (" + std::to_string(length) + " bytes at offset " + std::to_string(offset) + ")";
}

std::string remedy_for(int error_number) {
  switch (error_number) {
    case ENOSPC: return "Free some space on that file system, then run the same command again.";
    case EROFS: return "Make that file system writable, or move the job directory elsewhere.";
    case EACCES:
    case EPERM: return "Check the owner and the permissions of that file and its directory.";
    case ENOENT: return "Check the path.";
    case EISDIR: return "There is a directory where a file is wanted: move it away.";
    case EIO:
      return "The device below reports an input/output error: check the kernel log (dmesg).";
    default: return {};
  }
}

[[noreturn]] void fail(ErrorKind kind, const char* code, std::string attempt, int error_number) {
  throw SystemError(kind, code, std::move(attempt), error_number, remedy_for(error_number));
}

}  // namespace

UniqueFd open(const Path& path, int flags, ErrorKind kind, mode_t mode) {
  const int fd = retry_on_eintr([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) {
    const bool writing = (flags & O_ACCMODE) != O_RDONLY;
    fail(kind, "open-failed", "open " + path.string() + (writing ? " for writing" : ""), errno);
  }
  return UniqueFd(fd);
}

std::optional<UniqueFd> open_if_exists(const Path& path, int flags, ErrorKind kind) {
  const int fd = retry_on_eintr([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0600); });
  if (fd < 0 && errno == ENOENT) return std::nullopt;
  if (fd < 0) fail(kind, "open-failed", "open " + path.string(), errno);
  return UniqueFd(fd);
}

struct stat fstat(int fd, const std::string& name, ErrorKind kind) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail(kind, "stat-failed", "examine " + name, errno);
  return status;
}

std::size_t pread_up_to(int fd, std::uint64_t offset, MutableByteView out, const std::string& name,
                        ErrorKind kind) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = retry_on_eintr([&] {
      return ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    });
    if (got < 0) {
      fail(kind, "read-failed", "read " + at(name, offset + done, out.size() - done), errno);
    }
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void pread_exact(int fd, std::uint64_t offset, MutableByteView out, const std::string& name,
                 ErrorKind kind) {
  const std::size_t got = pread_up_to(fd, offset, out, name, kind);
  if (got != out.size()) {
    throw Error(kind, "file-too-short",
                "read " + at(name, offset, out.size()) + ": the file ends after " +
                    std::to_string(offset + got) + " bytes");
  }
}

std::size_t read_up_to(int fd, MutableByteView out, const std::string& name, ErrorKind kind) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        retry_on_eintr([&] { return ::read(fd, out.data() + done, out.size() - done); });
    if (got < 0 && errno == EAGAIN) {
      pollfd waiting{fd, POLLIN, 0};
      ::poll(&waiting, 1, -1);
      continue;
    }
    if (got < 0) fail(kind, "read-failed", "read " + name, errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void pwrite_all(int fd, std::uint64_t offset, ByteView data, const std::string& name,
                ErrorKind kind) {
  std::size_t done = 0;
  while (done < data.size()) {
    const ssize_t put = retry_on_eintr([&] {
      return ::pwrite(fd, data.data() + done, data.size() - done,
                      static_cast<off_t>(offset + done));
    });
    if (put < 0) {
      fail(kind, "write-failed", "write " + at(name, offset + done, data.size() - done), errno);
    }
    done += static_cast<std::size_t>(put);
  }
}

void write_all(int fd, ByteView data, const std::string& name, ErrorKind kind) {
  std::size_t done = 0;
  while (done < data.size()) {
    const ssize_t put =
        retry_on_eintr([&] { return ::write(fd, data.data() + done, data.size() - done); });
    if (put < 0) fail(kind, "write-failed", "write to " + name, errno);
    done += static_cast<std::size_t>(put);
  }
}

void fsync(int fd, const std::string& name, ErrorKind kind) {
  if (::fsync(fd) != 0) fail(kind, "flush-failed", "flush " + name, errno);
}

void fdatasync(int fd, const std::string& name, ErrorKind kind) {
  if (::fdatasync(fd) != 0) fail(kind, "flush-failed", "flush " + name, errno);
}

void ftruncate(int fd, std::uint64_t size, const std::string& name, ErrorKind kind) {
  if (retry_on_eintr([&] { return ::ftruncate(fd, static_cast<off_t>(size)); }) != 0) {
    fail(kind, "truncate-failed", "set the size of " + name + " to " + std::to_string(size), errno);
  }
}

void fsync_directory(const Path& directory, ErrorKind kind) {
  const UniqueFd fd = open(directory, O_RDONLY | O_DIRECTORY, kind);
  fsync(fd.get(), directory.string(), kind);
}

namespace {

// `next` reads into a buffer, as read(2) does.
template <typename Next>
std::string read_text(Next next, const std::string& name, std::uint64_t limit, ErrorKind kind) {
  std::string text;
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t got = retry_on_eintr([&] { return next(buffer, text.size()); });
    if (got < 0) fail(kind, "read-failed", "read " + name, errno);
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > limit) {
      throw Error(kind, "file-too-large",
                  name + " has more than " + std::to_string(limit) + " bytes",
                  "Check that this is the file you meant.");
    }
  }
}

}  // namespace

std::string read_file(const Path& path, std::uint64_t limit, ErrorKind kind) {
  const UniqueFd fd = open(path, O_RDONLY, kind);
  return read_text(
      [&](auto& buffer, std::size_t) { return ::read(fd.get(), buffer.data(), buffer.size()); },
      path.string(), limit, kind);
}

std::string read_from_start(int fd, const std::string& name, std::uint64_t limit, ErrorKind kind) {
  return read_text(
      [&](auto& buffer, std::size_t at) {
        return ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(at));
      },
      name, limit, kind);
}

}  // namespace driveprep::posix

#include "tests/support/faulty_writes.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace driveprep::test {
namespace {

FaultyWrites* active = nullptr;

std::int64_t really_pwrite(int fd, const void* data, std::uint64_t length, std::int64_t offset) {
  return ::syscall(SYS_pwrite64, fd, data, length, offset);
}

bool concerns(int fd) { return active != nullptr && active->fd() == fd; }

}  // namespace

FaultyWrites::FaultyWrites(int fd, std::uint64_t number, WriteFault fault)
    : fd_(fd), number_(number), fault_(fault) {
  active = this;
}

FaultyWrites::~FaultyWrites() { active = nullptr; }

std::int64_t FaultyWrites::write(const void* data, std::uint64_t length, std::int64_t offset) {
  constexpr std::uint64_t kSector = 512;
  const std::uint64_t number = writes_++;
  if (number < number_) return really_pwrite(fd_, data, length, offset);
  if (fault_ == WriteFault::kDropped) {
    return number == number_ ? static_cast<std::int64_t>(length)
                             : really_pwrite(fd_, data, length, offset);
  }
  const std::uint64_t half = length / 2 / kSector * kSector;
  if (number == number_ && fault_ == WriteFault::kTornHead) {
    really_pwrite(fd_, data, half, offset);
  } else if (number == number_ && fault_ == WriteFault::kTornTail) {
    really_pwrite(fd_, static_cast<const char*>(data) + half, length - half,
                  offset + static_cast<std::int64_t>(half));
  }
  errno = EIO;
  return -1;
}

}  // namespace driveprep::test

using driveprep::test::active;
using driveprep::test::concerns;

extern "C" ssize_t write(int fd, const void* data, size_t length) {
  if (!concerns(fd)) return ::syscall(SYS_write, fd, data, length);
  const std::int64_t offset = ::syscall(SYS_lseek, fd, 0, SEEK_CUR);
  const std::int64_t done = active->write(data, length, offset);
  if (done > 0) ::syscall(SYS_lseek, fd, done, SEEK_CUR);
  return done;
}

extern "C" ssize_t pwrite(int fd, const void* data, size_t length, off_t offset) {
  if (!concerns(fd)) return ::syscall(SYS_pwrite64, fd, data, length, offset);
  return active->write(data, length, offset);
}

extern "C" ssize_t pwrite64(int fd, const void* data, size_t length, off64_t offset) {
  return ::pwrite(fd, data, length, offset);
}

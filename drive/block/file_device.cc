#include "drive/block/file_device.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/posix.h"
#include "base/system_error.h"
#include "drive/block/aligned_buffer.h"

namespace driveprep::block {
namespace {

// File systems that have nothing but the page cache; newer kernels let O_DIRECT pass there all the
// same.
bool lives_in_memory(int fd) {
  struct statfs status {};
  if (::fstatfs(fd, &status) != 0) return false;
  return status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC;
}

// O_DIRECT is a property of the open file description, so it takes a second open of the same file.
// A file system that does not know it refuses at the open or at the first read.
UniqueFd open_direct(int fd) {
  if (lives_in_memory(fd)) return UniqueFd();
  const int access = ::fcntl(fd, F_GETFL) & O_ACCMODE;
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  return UniqueFd(::open(self.c_str(), access | O_DIRECT | O_CLOEXEC));
}

// Not every file system that lets it be opened also reads. Another error is the medium's, and is
// met again by whoever reads there.
UniqueFd if_it_reads(UniqueFd direct) {
  if (!direct.valid()) return direct;
  AlignedBuffer probe(kDirectAlignment);
  const bool unable = ::pread(direct.get(), probe.span().data(), probe.size(), 0) < 0 &&
                      (errno == EINVAL || errno == EOPNOTSUPP);
  return unable ? UniqueFd() : std::move(direct);
}

void tell_to_forget(int fd, const ByteRange& range, const std::string& name) {
  std::array<std::uint64_t, 2> place = {range.offset, range.length};
  if (::ioctl(fd, BLKDISCARD, place.data()) == 0) return;
  throw Error::from_errno(ErrorKind::kWrite, "discard-failed",
                          "discard " + std::to_string(range.length) + " bytes at offset " +
                              std::to_string(range.offset) + " of " + name,
                          errno, "Use another method: --method overwrite.");
}

}  // namespace

FileDevice::FileDevice(UniqueFd fd, std::string name, std::uint64_t size, SectorSize sector,
                       PageCache cache)
    : fd_(std::move(fd)),
      direct_fd_(cache == PageCache::kBypass ? if_it_reads(open_direct(fd_.get())) : UniqueFd()),
      name_(std::move(name)),
      size_(size),
      sector_(sector) {}

FileDevice::FileDevice(UniqueFd fd, UniqueFd direct, std::string name, std::uint64_t size,
                       SectorSize sector, Gone gone)
    : fd_(std::move(fd)),
      direct_fd_(if_it_reads(std::move(direct))),
      name_(std::move(name)),
      size_(size),
      sector_(sector),
      gone_(std::move(gone)) {}

template <typename Operation>
void FileDevice::attempt(const char* what, std::uint64_t offset, Operation operation) const {
  const Outstanding::Entry entry(outstanding_, what, offset);
  try {
    operation();
  } catch (const SystemError& error) {
    throw_if_gone(error);
    if (!gone_) throw;
    // What the number means for a file is no advice about a disk.
    throw Error(error.kind(), error.code(), error.what(),
                "Check cable and port; if it happens again, use another drive. The kernel's log "
                "(dmesg) tells what the drive said.");
  } catch (const Error& error) {
    throw_if_gone(error);
    throw;
  }
}

void FileDevice::throw_if_gone(const Error& error) const {
  if (!gone_ || error.code() == "drive-vanished") return;
  const std::string gone = gone_();
  if (gone.empty()) return;
  throw Error(ErrorKind::kBusy, "drive-vanished",
              name_ + " is gone: " + gone + " (" + error.what() + ")",
              "Check cable and power, connect it again, and run the same command again.");
}

void FileDevice::read(std::uint64_t offset, MutableByteView out) const {
  check_range(*this, offset, out.size(), "read");
  attempt("read", offset, [&] { read_through(offset, out); });
}

void FileDevice::read_through(std::uint64_t offset, MutableByteView out) const {
  if (!direct_fd_.valid()) {
    posix::pread_exact(fd_.get(), offset, out, name_, ErrorKind::kWrite);
    return;
  }
  if (is_direct_aligned(offset, out)) {
    posix::pread_exact(direct_fd_.get(), offset, out, name_, ErrorKind::kWrite);
    return;
  }
  // Unaligned: read the surrounding aligned window. The last one may end beyond the device.
  const std::uint64_t first = round_down(offset, kDirectAlignment);
  const std::uint64_t last = round_up(offset + out.size(), kDirectAlignment);
  AlignedBuffer window(last - first);
  const std::size_t got =
      posix::pread_up_to(direct_fd_.get(), first, window.span(), name_, ErrorKind::kWrite);
  if (first + got < offset + out.size()) {
    throw Error(ErrorKind::kWrite, "file-too-short",
                name_ + " ends after " + std::to_string(first + got) + " bytes; expected " +
                    std::to_string(size_));
  }
  const ByteView wanted = window.span().subspan(offset - first, out.size());
  std::copy(wanted.begin(), wanted.end(), out.begin());
}

void FileDevice::refuse_if_failed() const {
  if (!failed_) return;
  throw Error(
      ErrorKind::kWrite, "device-failed",
      name_ + " failed earlier in this run: nothing more is written to it",
      "Look at the first error of this drive; use another drive if the medium is at fault.");
}

template <typename Operation>
void FileDevice::attempt_change(const char* what, std::uint64_t offset, bool past_errors,
                                Operation operation) {
  refuse_if_failed();
  try {
    attempt(what, offset, operation);
  } catch (const Error& error) {
    if (!past_errors || error.kind() == ErrorKind::kBusy) failed_ = true;  // busy: it is gone
    throw;
  }
}

void FileDevice::write(std::uint64_t offset, ByteView data) {
  check_range(*this, offset, data.size(), "write");
  attempt_change("write", offset, past_errors_, [&] {
    const bool direct = direct_fd_.valid() && is_direct_aligned(offset, data);
    posix::pwrite_all(direct ? direct_fd_.get() : fd_.get(), offset, data, name_,
                      ErrorKind::kWrite);
  });
}

void FileDevice::discard(const ByteRange& range) {
  check_range(*this, range.offset, range.length, "discard");
  attempt_change("discard", range.offset, false, [&] { tell_to_forget(fd_.get(), range, name_); });
}

void FileDevice::flush() {
  attempt_change("flush", 0, false, [&] { posix::fdatasync(fd_.get(), name_, ErrorKind::kWrite); });
}

std::unique_ptr<FileDevice> open_image_read_only(const std::string& path, SectorSize sector) {
  UniqueFd fd = posix::open(path, O_RDONLY, ErrorKind::kBusy);
  const struct stat status = posix::fstat(fd.get(), path, ErrorKind::kBusy);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kRefused, "not-an-image", path + " is not a regular file");
  }
  return std::make_unique<FileDevice>(std::move(fd), path,
                                      static_cast<std::uint64_t>(status.st_size), sector);
}

}  // namespace driveprep::block

#include "drive/guard/disk_opener.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/posix.h"

namespace driveprep::guard {
namespace {

// udev and others look into a disk for moments.
constexpr int kAttempts = 5;
constexpr std::chrono::milliseconds kPause{250};

[[noreturn]] void open_failed(const std::string& node, int error) {
  switch (error) {
    case EBUSY:
      throw Error(ErrorKind::kBusy, "disk-in-use", node + " is in use: it cannot be had alone",
                  "Find out what uses it (lsblk " + node + ", lsof " + node +
                      "), end that, and run the same command again.");
    case EACCES:
    case EPERM:
      throw Error::from_errno(ErrorKind::kRefused, "disk-no-permission", "open " + node, error,
                              "Run the command as root: sudo driveprep ...");
    case EROFS:
      throw Error(ErrorKind::kRefused, "disk-read-only", node + " is write-protected",
                  "Find out what protects it: a switch, the enclosure, or blockdev --setro.");
    default:
      throw Error::from_errno(ErrorKind::kBusy, "disk-vanished", "open " + node, error,
                              "Check cable and power, then look again: driveprep drives");
  }
}

// Opening some devices does something already (a watchdog starts, a tape rewinds): what it is comes
// first, and then that very node is opened.
UniqueFd open_node(const std::string& node, int flags) {
  const UniqueFd place(::open(node.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!place.valid()) open_failed(node, errno);
  const struct stat status = posix::fstat(place.get(), node, ErrorKind::kBusy);
  if (!S_ISBLK(status.st_mode)) {
    throw Error(ErrorKind::kRefused, "disk-not-a-drive", node + " is no block device",
                "Name a disk; driveprep drives lists them.");
  }
  const std::string self = "/proc/self/fd/" + std::to_string(place.get());
  for (int attempt = 1;; ++attempt) {
    UniqueFd fd(::open(self.c_str(), flags | O_NONBLOCK | O_CLOEXEC));
    if (fd.valid()) return fd;
    if (errno != EBUSY || attempt == kAttempts) open_failed(node, errno);
    std::this_thread::sleep_for(kPause);
  }
}

// A second description of the same disk. Through the descriptor: the name may lead elsewhere by
// now.
UniqueFd open_direct(int fd, int access) {
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  return UniqueFd(::open(self.c_str(), access | O_DIRECT | O_NONBLOCK | O_CLOEXEC));
}

}  // namespace

OpenedDisk OwnOpener::open(const std::filesystem::path& node, DiskAccess access) {
  const bool exclusive = access == DiskAccess::kExclusive;
  OpenedDisk disk;
  disk.fd = open_node(node.string(), exclusive ? O_RDWR | O_EXCL : O_RDONLY);
  if (access != DiskAccess::kLook) {
    disk.direct = open_direct(disk.fd.get(), exclusive ? O_RDWR : O_RDONLY);
  }
  return disk;
}

inventory::AtaPages OwnOpener::ata_pages(int fd, const std::string& name) {
  return inventory::read_ata_pages(inventory::sg_sender(fd), name);
}

void OwnOpener::read_table_anew(int fd, const std::string& name) {
  for (int attempt = 1; ::ioctl(fd, BLKRRPART) != 0; ++attempt) {
    if (errno == EBUSY && attempt < kAttempts) {
      std::this_thread::sleep_for(kPause);
      continue;
    }
    if (errno == EINVAL) return;  // it keeps none of this device: a loop device without partitions
    throw Error::from_errno(ErrorKind::kBusy, "table-not-read",
                            "let the kernel read the partition table of " + name, errno);
  }
}

}  // namespace driveprep::guard

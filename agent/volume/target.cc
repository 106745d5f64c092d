#include "agent/volume/target.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "base/posix.h"
#include "bitlocker/examine.h"
#include "bitlocker/volume_header.h"
#include "drive/guard/file_lock.h"
#include "drive/guard/loop_devices.h"
#include "drive/inventory/signatures.h"

namespace driveprep::volume {
namespace {

constexpr std::size_t kHeaderSize = 512;

Error cannot_open(const std::string& path, Access access, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Error(ErrorKind::kUsage, "target-missing", "there is no " + path,
                   "Name a block device, a partition or an image file.");
    case EBUSY:
      return Error(ErrorKind::kBusy, "target-busy", path + " is mounted or in use",
                   "Unmount it and close what uses it, then try again.");
    default:
      return Error(ErrorKind::kRefused,
                   access == Access::kRead ? "target-not-readable" : "target-not-writable",
                   "cannot open " + path + (access == Access::kRead ? "" : " for writing") + ": " +
                       std::strerror(error),
                   "Run this as a user who may, for a disk as root.");
  }
}

std::uint64_t block_device_size(int fd, const std::string& path) {
  std::uint64_t size = 0;
  if (::ioctl(fd, BLKGETSIZE64, &size) != 0) throw cannot_open(path, Access::kRead, errno);
  return size;
}

SectorSize block_device_sector(int fd) {
  int bytes = 0;
  if (::ioctl(fd, BLKSSZGET, &bytes) != 0 || bytes <= 0 ||
      !SectorSize::is_valid(static_cast<std::uint64_t>(bytes))) {
    return SectorSize(512);
  }
  return SectorSize(static_cast<std::uint64_t>(bytes));
}

// The kernel opens a write-protected disk for writing and fails the writes.
void check_writable(int fd, const std::string& path) {
  int read_only = 0;
  if (::ioctl(fd, BLKROGET, &read_only) != 0) throw cannot_open(path, Access::kWrite, errno);
  if (read_only == 0) return;
  throw Error(ErrorKind::kRefused, "target-not-writable", path + " is write-protected",
              "Take the protection away: a switch on the drive, a write blocker in front of it, or "
              "blockdev --setrw.");
}

bool looks_like_bitlocker(const block::FileDevice& device, const ByteRange& range) {
  if (range.length < kHeaderSize) return false;
  Bytes sector(kHeaderSize);
  try {
    device.read(range.offset, sector);
  } catch (const Error&) {  // unreadable: not by its header
    return false;
  }
  return bitlocker::parse_volume_header(sector).kind != bitlocker::VolumeKind::kNone;
}

// A volume whose header is lost.
bool holds_metadata(const block::FileDevice& device, const ByteRange& range) {
  const block::ReadableSlice place(device, range, device.name());
  bitlocker::ExamineOptions how;
  how.search = bitlocker::Search::kLikely;
  try {
    return bitlocker::examine(place, how).has_sound_copy();
  } catch (const Error&) {  // unreadable: not to be told
    return false;
  }
}

// An image file does not tell its sector size, so a table of either kind is taken.
std::vector<inventory::Partition> partitions_of(const block::FileDevice& device) {
  std::vector<inventory::Partition> found =
      inventory::read_partitions(device.fd(), device.size(), device.sector_size(), device.name());
  const std::uint64_t other = device.sector_size().bytes() == 512 ? 4096 : 512;
  if (found.empty()) {
    found =
        inventory::read_partitions(device.fd(), device.size(), SectorSize(other), device.name());
  }
  return found;
}

std::string listed(const std::vector<inventory::Partition>& partitions) {
  std::string text;
  for (const inventory::Partition& partition : partitions) {
    text += (text.empty() ? "" : ", ") + std::to_string(partition.number);
  }
  return text;
}

}  // namespace

Target::Target(const TargetRequest& request, Access access) : request_(request) {
  open(access);
  choose_partition();
  const std::string name =
      partition_ ? device_->name() + " (partition " + std::to_string(*partition_) + ")"
                 : device_->name();
  slice_ = std::make_unique<block::Slice>(*device_, range_, name);
}

void Target::open(Access access) {
  const std::string path = request_.path.string();
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw cannot_open(path, access, errno);
  const bool disk = S_ISBLK(status.st_mode);
  if (!disk && !S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kUsage, "target-kind", path + " is neither a file nor a block device",
                "Name a block device, a partition or an image file.");
  }
  // O_EXCL on a block device: nobody has mounted it or holds it in the kernel.
  const int flags = access == Access::kRead ? O_RDONLY : disk ? O_RDWR | O_EXCL : O_RDWR;
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) throw cannot_open(path, access, errno);
  status = posix::fstat(fd.get(), path, ErrorKind::kBusy);
  if (S_ISBLK(status.st_mode) != disk || (!disk && !S_ISREG(status.st_mode))) {
    throw Error(ErrorKind::kBusy, "target-busy", path + " changed while it was opened",
                "Try again.");
  }
  if (disk && access == Access::kWrite) check_writable(fd.get(), path);
  const std::uint64_t size =
      disk ? block_device_size(fd.get(), path) : static_cast<std::uint64_t>(status.st_size);
  if (size == 0) {
    throw Error(ErrorKind::kRefused, "target-empty", path + " has no content at all",
                "Check that this is the right drive, and that its medium is there.");
  }
  const SectorSize sector = disk ? block_device_sector(fd.get()) : request_.image_sector;
  // Files are often in memory already, just copied or made; a disk would only push other things
  // out.
  const bool cached = access == Access::kRead && !disk;
  device_ = std::make_unique<block::FileDevice>(
      std::move(fd), path, size, sector,
      cached ? block::PageCache::kUse : block::PageCache::kBypass);
  if (access == Access::kRead) {
    guard::hold_for_reading(*device_);
    return;
  }
  guard::hold_for_writing(*device_);
  const std::string loop =
      disk ? std::string() : guard::loop_device_of(status.st_dev, status.st_ino, path, size);
  if (!loop.empty()) {
    throw Error(ErrorKind::kBusy, "image-backs-loop",
                "the loop device /dev/" + loop + " is made of " + path,
                "Detach it (losetup --detach /dev/" + loop + ") or name the loop device.");
  }
}

void Target::choose_partition() {
  const std::optional<int> wanted = request_.partition;
  const ByteRange whole{0, device_->size()};
  range_ = whole;
  if (!wanted && looks_like_bitlocker(*device_, whole)) return;
  const std::vector<inventory::Partition> partitions = partitions_of(*device_);
  const auto choose = [&](const inventory::Partition& partition) {
    range_ = partition.range;
    partition_ = partition.number;
  };
  if (wanted) {
    const auto found = std::ranges::find(partitions, *wanted, &inventory::Partition::number);
    if (found != partitions.end()) return choose(*found);
    throw Error(
        ErrorKind::kUsage, "partition-unknown",
        device_->name() + " has no partition " + std::to_string(*wanted) +
            (partitions.empty() ? ", nor a partition table" : "; it has " + listed(partitions)),
        "Name one that is there, or leave --partition out.");
  }
  if (partitions.empty()) return;
  if (request_.choice == Choice::kNamed) {
    throw Error(ErrorKind::kUsage, "partition-needed",
                device_->name() + " has partitions (" + listed(partitions) +
                    "), and none of them was named",
                "Name the one that is meant: --partition N.");
  }
  const auto found = std::ranges::find_if(partitions, [&](const inventory::Partition& partition) {
    return looks_like_bitlocker(*device_, partition.range);
  });
  if (found != partitions.end()) return choose(*found);
  if (partitions.size() == 1) return choose(partitions.front());
  const auto lost = std::ranges::find_if(partitions, [&](const inventory::Partition& partition) {
    return holds_metadata(*device_, partition.range);
  });
  if (lost != partitions.end()) return choose(*lost);
  throw Error(ErrorKind::kUsage, "partition-needed",
              "none of the partitions of " + device_->name() + " (" + listed(partitions) +
                  ") begins like a BitLocker volume, nor was metadata of one found there",
              "Name the one that is meant: --partition N.");
}

std::uint64_t Target::offset_on_disk() const {
  if (partition_) return range_.offset;
  const struct stat status = posix::fstat(device_->fd(), device_->name(), ErrorKind::kBusy);
  if (!S_ISBLK(status.st_mode)) return 0;
  // There for partitions only; in units of 512 bytes, whatever the sector size.
  std::ifstream file("/sys/dev/block/" + std::to_string(major(status.st_rdev)) + ":" +
                     std::to_string(minor(status.st_rdev)) + "/start");
  std::uint64_t start = 0;
  return file >> start ? start * 512 : 0;
}

}  // namespace driveprep::volume

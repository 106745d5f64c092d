#include "drive/inventory/disk_presence.h"

#include <chrono>
#include <thread>

namespace driveprep::inventory {
namespace {

// USB bridges reset before the kernel gives the disk up: 1.2 s were seen.
constexpr int kLooks = 30;
constexpr std::chrono::milliseconds kPause{100};

bool is_connected(const Sysfs& sysfs, const DiskHandle& handle) {
  const std::filesystem::path disk = sysfs.root() / "dev/block" / handle.number.to_string();
  std::error_code missing;
  if (!std::filesystem::exists(disk, missing)) return false;
  try {
    if (handle.sequence && sysfs.number(disk, "diskseq") != *handle.sequence) return false;
    if (sysfs.number(disk, "size") == 0) return false;
    // Of SCSI, SATA and USB disks: "running" while they answer.
    const std::string state = sysfs.attribute(disk, "device/state").value_or("running");
    return state == "running" || state == "live";
  } catch (const Error&) {
    return false;  // it went while it was looked at
  }
}

}  // namespace

bool is_gone(const Sysfs& sysfs, const DiskHandle& handle) {
  for (int look = 0; look < kLooks; ++look) {
    if (look > 0) std::this_thread::sleep_for(kPause);
    if (!is_connected(sysfs, handle)) return true;
  }
  return false;
}

}  // namespace driveprep::inventory

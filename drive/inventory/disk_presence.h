// Is the disk that was opened still connected? Asked after an error: what the kernel says of an
// unplugged disk depends on the bus (EIO, ENODEV, ENODATA, and ENOSPC where its size became 0).
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "drive/inventory/disk_facts.h"

namespace driveprep::inventory {

// USB bridges reset before the kernel gives the disk up: 1.2 s were seen.
inline constexpr std::chrono::milliseconds kPresencePatience{3000};

// In which way the disk of this number and sequence is lost, in words; "" while it is there. What
// is being removed, reset or set up anew is given `patience` to become one or the other, so this
// takes as long for a disk that is there.
std::string departure(const Sysfs& sysfs, const DiskHandle& handle,
                      std::chrono::milliseconds patience = kPresencePatience);

// The same for a disk that gives many errors, from any thread: once it has been found there, the
// errors of the next minute cost no more than a glance. One that goes then does not come through
// the look after that.
class PresenceWatch {
 public:
  PresenceWatch(Sysfs sysfs, const DiskHandle& handle)
      : sysfs_(std::move(sysfs)), handle_(handle) {}
  std::string departure();

 private:
  const Sysfs sysfs_;
  const DiskHandle handle_;
  std::mutex mutex_;  // guards the next one
  std::optional<std::chrono::steady_clock::time_point> found_there_;
};

}  // namespace driveprep::inventory

// The disks of this machine as the guard sees them: looked at once, opened for reading only, and
// found again for a job by serial number or name.
#pragma once

#include <string>
#include <vector>

#include "drive/guard/disk_opener.h"
#include "drive/guard/disk_policy.h"

namespace driveprep::guard {

// A drive that was finished on this machine earlier.
struct PreparedDrive {
  std::string serial;
  std::string disk_guid;  // lower case: what tells whether the drive still holds that work
  std::string job;        // the path of its job directory
};

class Machine {
 public:
  // Looks at all disks with a medium. `opener` must outlive this. Throws kBusy "sysfs-unreadable"
  // when the devices cannot be listed: an empty list would say that there is nothing.
  explicit Machine(DiskOpener& opener, inventory::Sysfs sysfs = inventory::Sysfs(),
                   std::vector<PreparedDrive> prepared = {});

  // By kernel name; also loop devices, mappings and arrays, which the policy tells from drives.
  const std::vector<inventory::DiskFacts>& disks() const { return facts_.disks; }
  DiskOpener& opener() const { return *opener_; }

  // The disk that a request means. An empty drive id becomes the disk's own serial number. Throws
  // kBusy "disk-not-there" when no disk is meant, kRefused "disk-not-whole" when the path names a
  // part of one.
  DiskCase find(const DiskRequest& request) const;
  // The same disk with its contents: reads up to 1 GiB of it.
  DiskCase examined(DiskCase disk) const;

  // What is known of a disk of disks() for a request, without looking at its contents.
  DiskCase case_of(const inventory::DiskFacts& disk, DiskRequest request) const;

  // The disk of `then` once more, with fresh facts, through a descriptor that holds it.
  DiskCase look_again(const DiskCase& then, int fd) const;

 private:
  void examine(DiskCase& disk, int fd) const;
  void ask_new_ones(inventory::MachineFacts& fresh, const std::string& but) const;

  DiskOpener* opener_;
  inventory::Sysfs sysfs_;
  std::vector<PreparedDrive> prepared_;
  inventory::MachineFacts facts_;
};

// The disks that are there and do not tell which they are, for a sentence that one was not found:
// ", unless it is /dev/sdc, which does not tell: ..."; "" when all tell.
std::string unless_silent(const std::vector<inventory::DiskFacts>& disks);

// Whether a disk is called so: by serial number, kernel name, path, or a name in /dev/disk/by-id.
bool is_called(const inventory::DiskFacts& disk, const std::string& name);

}  // namespace driveprep::guard

// What of the disks is in use, by the kernel's own lists: mounts and swap.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "drive/inventory/block_tree.h"

namespace driveprep::inventory {

struct Mount {
  std::string id;               // one of the kernel's for each mount of all namespaces
  DeviceNumber device;          // major 0: the file system has no device of its own
  std::filesystem::path point;  // where it is
  std::string type;             // "ext4", "btrfs", "overlay"
  std::string source;           // "/dev/sda1", "tmpfs"
  std::string options;          // of the file system
};

// /proc/PID/mountinfo and /proc/swaps. Throw FormatError for a line that cannot be read.
std::vector<Mount> parse_mountinfo(std::string_view text);
std::vector<std::filesystem::path> parse_swaps(std::string_view text);

class MountTable {
 public:
  // The mounts of this process and those of process 1, which may see others: sudo may have been
  // called in a namespace of its own. Where nobody has opened these (Sysfs::host_mounts) and they
  // cannot be read either, they are left out. Throws kBusy "mounts-unreadable".
  static MountTable read(const Sysfs& sysfs);

  const std::vector<Mount>& mounts() const { return mounts_; }
  const std::vector<std::filesystem::path>& swaps() const { return swaps_; }

  // The block devices that a file system lies on; none for one in memory or on the network. Throws
  // kBusy "mounts-unreadable" when that cannot be told.
  std::vector<const BlockNode*> devices_of(const Mount& mount, const BlockTree& tree) const;
  // The block devices that a path of this process lies on (a canonical path; it need not exist).
  std::vector<const BlockNode*> devices_of(const std::filesystem::path& path,
                                           const BlockTree& tree) const;

 private:
  void add_host_mounts(const Sysfs& sysfs);
  const Mount* around(const std::filesystem::path& path) const;
  std::vector<const BlockNode*> devices_of_layers(const Mount& overlay, const BlockTree& tree,
                                                  int depth) const;
  std::vector<const BlockNode*> devices_at(const Mount& mount, const BlockTree& tree,
                                           int depth) const;

  std::vector<Mount> mounts_;
  std::size_t own_ = 0;  // so many of them are of this process; its paths mean these
  std::vector<std::filesystem::path> swaps_;
  std::vector<std::vector<std::string>> btrfs_;  // kernel names of the devices of each file system
  std::vector<std::string> without_device_;      // types of file systems that have none
};

}  // namespace driveprep::inventory

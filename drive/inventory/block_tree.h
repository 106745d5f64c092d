// How block devices lie in and upon each other: partitions in disks, mappings and arrays upon both.
// A snapshot of sysfs; nothing is opened.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "drive/inventory/fact.h"
#include "drive/inventory/sysfs.h"

namespace driveprep::inventory {

struct BlockNode {
  DeviceNumber number;
  std::string name;                        // the kernel's: "sda1", "dm-0", "cciss!c0d0"
  std::filesystem::path directory;         // in sysfs
  std::optional<DeviceNumber> disk;        // of a partition: what it lies on
  std::string mapping;                     // of a device-mapper device: its name in /dev/mapper
  Fact<std::vector<std::string>> holders;  // kernel names of what is made of it
  Fact<std::vector<std::string>> slaves;   // kernel names of what it is made of
};

class BlockTree {
 public:
  // Throws kBusy "sysfs-unreadable" when a device cannot be placed: a partition that nobody counts
  // would leave its disk unguarded.
  static BlockTree read(const Sysfs& sysfs);

  const std::vector<BlockNode>& nodes() const { return nodes_; }
  const BlockNode* find(DeviceNumber number) const;
  const BlockNode* find(std::string_view kernel_name) const;
  // What a path in /dev means: "/dev/sda1", "/dev/mapper/root", a link to one of them.
  const BlockNode* find_path(const std::filesystem::path& path) const;
  std::vector<const BlockNode*> partitions_of(const BlockNode& disk) const;

  // The whole disks that the data of a device lies on, through partitions, mappings and arrays,
  // sorted. Throws kBusy "sysfs-unreadable" when a link is missing or the stack has no end.
  std::vector<DeviceNumber> disks_under(const BlockNode& device) const;
  // Everything on the way there, too, and the device itself: a loop device upon a disk is one that
  // others can lie on.
  std::vector<DeviceNumber> devices_under(const BlockNode& device) const;

 private:
  void add_backing(const Sysfs& sysfs, BlockNode& loop);

  std::vector<BlockNode> nodes_;
};

}  // namespace driveprep::inventory

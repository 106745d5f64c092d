#include "drive/inventory/disk_uses.h"

#include <algorithm>
#include <array>

namespace driveprep::inventory {
namespace {

constexpr std::array<std::string_view, 8> kSystemPoints = {"/",     "/boot", "/boot/efi", "/efi",
                                                           "/home", "/opt",  "/usr",      "/var"};

bool lies_on(const BlockNode& node, const BlockNode& disk, const BlockTree& tree) {
  const std::vector<DeviceNumber> below = tree.devices_under(node);
  return std::ranges::find(below, disk.number) != below.end();
}

std::string name_of(const std::string& holder, const BlockTree& tree) {
  const BlockNode* node = tree.find(holder);
  return node == nullptr || node->mapping.empty() ? holder : holder + " (" + node->mapping + ")";
}

void add_holders(const BlockNode& node, const BlockTree& tree, std::vector<Use>& uses) {
  if (!node.holders.known()) {
    throw Error(ErrorKind::kBusy, "sysfs-unreadable", node.holders.why_not());
  }
  std::vector<std::string> holders = node.holders.value();
  // Each link between the two has another one in the opposite direction.
  for (const BlockNode& other : tree.nodes()) {
    if (!other.slaves.known() || std::ranges::find(holders, other.name) != holders.end()) continue;
    const std::vector<std::string>& slaves = other.slaves.value();
    if (std::ranges::find(slaves, node.name) != slaves.end()) holders.push_back(other.name);
  }
  for (const std::string& holder : holders) {
    uses.push_back({Use::Kind::kHolder, node.name, name_of(holder, tree)});
  }
}

}  // namespace

std::vector<Use> uses_of(const BlockNode& disk, const BlockTree& tree, const MountTable& mounts) {
  std::vector<Use> uses;
  for (const Mount& mount : mounts.mounts()) {
    for (const BlockNode* device : mounts.devices_of(mount, tree)) {
      if (!lies_on(*device, disk, tree)) continue;
      const bool system =
          std::ranges::find(kSystemPoints, mount.point.string()) != kSystemPoints.end();
      uses.push_back({Use::Kind::kMount, device->name, mount.point.string(), system});
    }
  }
  for (const std::filesystem::path& swap : mounts.swaps()) {
    const BlockNode* node = tree.find_path(swap);
    for (const BlockNode* device :
         node != nullptr ? std::vector{node} : mounts.devices_of(swap, tree)) {
      if (!lies_on(*device, disk, tree)) continue;
      uses.push_back({Use::Kind::kSwap, device->name, swap.string(), true});
    }
  }
  add_holders(disk, tree, uses);
  for (const BlockNode* partition : tree.partitions_of(disk)) add_holders(*partition, tree, uses);
  // The system first: of many reasons it is the one to read.
  std::ranges::stable_sort(uses, std::greater(), &Use::system);
  return uses;
}

}  // namespace driveprep::inventory

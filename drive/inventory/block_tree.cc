#include "drive/inventory/block_tree.h"

#include <algorithm>
#include <set>

namespace driveprep::inventory {
namespace {

namespace fs = std::filesystem;

// Arrays of mappings of partitions, and one on top: real stacks have three or four storeys.
constexpr int kMostStoreys = 16;

[[noreturn]] void unplaced(const fs::path& device, const std::string& why) {
  throw Error(ErrorKind::kBusy, "sysfs-unreadable", device.string() + ": " + why,
              "Run the command again; if it goes on, look at the kernel's messages (dmesg).");
}

// A partition says so, and its directory lies in that of a disk; either is enough to take it for
// one.
std::optional<DeviceNumber> disk_around(const Sysfs& sysfs, const fs::path& device) {
  const fs::path parent = device.parent_path();
  const std::optional<std::string> number = sysfs.attribute(parent, "dev");
  if (!number) {
    if (sysfs.exists(device, "partition"))
      unplaced(device, "a partition of a disk that is not there");
    return std::nullopt;
  }
  // Other devices have numbers, too: those of NVMe controllers, for example.
  if (!sysfs.exists(parent, "size") && !sysfs.exists(device, "partition")) return std::nullopt;
  const std::optional<DeviceNumber> disk = DeviceNumber::parse(*number);
  if (!disk) unplaced(parent, "'" + *number + "' is no device number");
  return disk;
}

std::optional<BlockNode> read_node(const Sysfs& sysfs, const fs::path& device) {
  const std::optional<std::string> number = sysfs.attribute(device, "dev");
  if (!number) {
    std::error_code error;
    if (!fs::exists(device, error)) return std::nullopt;  // removed just now
    // A path of a multipath NVMe drive: it cannot be opened, so it has no number.
    if (sysfs.attribute(device, "hidden") == "1") return std::nullopt;
    unplaced(device, "it has no device number");
  }
  const std::optional<DeviceNumber> parsed = DeviceNumber::parse(*number);
  if (!parsed) unplaced(device, "'" + *number + "' is no device number");

  BlockNode node;
  node.number = *parsed;
  node.name = device.filename().string();
  node.directory = device;
  node.disk = disk_around(sysfs, device);
  node.mapping = sysfs.attribute(device, "dm/name").value_or("");
  node.holders = fact_of([&] { return sysfs.names_in(device, "holders"); });
  // Partitions have none: they are made of their disk.
  node.slaves = node.disk ? Fact<std::vector<std::string>>(std::vector<std::string>())
                          : fact_of([&] { return sysfs.names_in(device, "slaves"); });
  return node;
}

}  // namespace

BlockTree BlockTree::read(const Sysfs& sysfs) {
  BlockTree tree;
  for (const fs::path& device : sysfs.block_devices()) {
    if (auto node = read_node(sysfs, device)) tree.nodes_.push_back(*std::move(node));
  }
  return tree;
}

const BlockNode* BlockTree::find(DeviceNumber number) const {
  const auto found = std::ranges::find(nodes_, number, &BlockNode::number);
  return found == nodes_.end() ? nullptr : &*found;
}

const BlockNode* BlockTree::find(std::string_view kernel_name) const {
  const auto found = std::ranges::find(nodes_, kernel_name, &BlockNode::name);
  return found == nodes_.end() ? nullptr : &*found;
}

const BlockNode* BlockTree::find_path(const fs::path& path) const {
  std::error_code error;
  const fs::path real = fs::weakly_canonical(path, error);
  for (const fs::path& each : {path, error ? path : real}) {
    if (each.parent_path() == "/dev/mapper") {
      const auto found = std::ranges::find(nodes_, each.filename().string(), &BlockNode::mapping);
      if (found != nodes_.end()) return &*found;
    }
    std::string name = each.lexically_relative("/dev").string();
    // What has a directory of its own in /dev has '!' for '/' in sysfs.
    std::ranges::replace(name, '/', '!');
    if (const BlockNode* node = find(name)) return node;
  }
  return nullptr;
}

std::vector<const BlockNode*> BlockTree::partitions_of(const BlockNode& disk) const {
  std::vector<const BlockNode*> partitions;
  for (const BlockNode& node : nodes_) {
    if (node.disk == disk.number) partitions.push_back(&node);
  }
  return partitions;
}

std::vector<DeviceNumber> BlockTree::disks_under(const BlockNode& device) const {
  std::set<DeviceNumber> disks;
  std::vector<const BlockNode*> storey = {&device};
  for (int depth = 0; !storey.empty(); ++depth) {
    if (depth == kMostStoreys) unplaced(device.directory, "too many devices upon each other");
    std::vector<const BlockNode*> below;
    const auto descend = [&](const BlockNode* next, const std::string& what) {
      if (next == nullptr)
        unplaced(device.directory, "it lies on " + what + ", which is not there");
      below.push_back(next);
    };
    for (const BlockNode* node : storey) {
      if (node->disk) {
        descend(find(*node->disk), node->disk->to_string());
        continue;
      }
      if (!node->slaves.known()) unplaced(node->directory, node->slaves.why_not());
      if (node->slaves.value().empty()) disks.insert(node->number);
      for (const std::string& slave : node->slaves.value()) descend(find(slave), slave);
    }
    storey = std::move(below);
  }
  return {disks.begin(), disks.end()};
}

}  // namespace driveprep::inventory

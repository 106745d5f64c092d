#include "drive/inventory/block_tree.h"

#include <sys/stat.h>

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

// What a loop device is made of, when that is a block device; "" otherwise. The kernel lists
// neither as holder or slave of the other, and the loop device claims nothing.
std::string backing_device(const Sysfs& sysfs, const BlockNode& loop, const BlockTree& tree) {
  const std::string backing = sysfs.attribute(loop.directory, "loop/backing_file").value_or("");
  if (backing.empty()) return {};
  if (const BlockNode* node = tree.find_path(backing)) return node->name;
  struct stat status {};
  if (::stat(backing.c_str(), &status) == 0 && S_ISBLK(status.st_mode)) {
    if (const BlockNode* node = tree.find(DeviceNumber::of(status.st_rdev))) return node->name;
  } else if (fs::path(backing).parent_path() != "/dev") {
    return {};  // a file
  }
  unplaced(loop.directory, "it is made of " + backing + ", which is not there");
}

}  // namespace

BlockTree BlockTree::read(const Sysfs& sysfs) {
  BlockTree tree;
  for (const fs::path& device : sysfs.block_devices()) {
    if (auto node = read_node(sysfs, device)) tree.nodes_.push_back(*std::move(node));
  }
  for (BlockNode& node : tree.nodes_) {
    if (!node.disk && node.name.starts_with("loop")) tree.add_backing(sysfs, node);
  }
  return tree;
}

void BlockTree::add_backing(const Sysfs& sysfs, BlockNode& loop) {
  try {
    const std::string below = backing_device(sysfs, loop, *this);
    if (below.empty()) return;
    loop.slaves = std::vector<std::string>{below};
    for (BlockNode& node : nodes_) {
      if (node.name != below || !node.holders.known()) continue;
      std::vector<std::string> holders = node.holders.value();
      holders.push_back(loop.name);
      node.holders = std::move(holders);
    }
  } catch (const Error& error) {
    loop.slaves = Fact<std::vector<std::string>>::unreadable(error.what());
  }
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
  std::vector<DeviceNumber> disks = devices_under(device);
  std::erase_if(disks, [&](DeviceNumber number) {
    const BlockNode* node = find(number);
    return node->disk || !node->slaves.value().empty();
  });
  return disks;
}

std::vector<DeviceNumber> BlockTree::devices_under(const BlockNode& device) const {
  std::set<DeviceNumber> devices;
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
      devices.insert(node->number);
      if (node->disk) {
        descend(find(*node->disk), node->disk->to_string());
        continue;
      }
      if (!node->slaves.known()) unplaced(node->directory, node->slaves.why_not());
      for (const std::string& slave : node->slaves.value()) descend(find(slave), slave);
    }
    storey = std::move(below);
  }
  return {devices.begin(), devices.end()};
}

}  // namespace driveprep::inventory

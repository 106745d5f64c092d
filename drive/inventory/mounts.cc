#include "drive/inventory/mounts.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <span>
#include <sstream>

#include "base/path_within.h"
#include "base/posix.h"
#include "base/units.h"

namespace driveprep::inventory {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kListLimit = 64 * kMiB;
constexpr int kMostLayers = 8;  // overlays upon overlays

[[noreturn]] void unreadable(const std::string& what, const std::string& why) {
  throw Error(ErrorKind::kBusy, "mounts-unreadable",
              "cannot tell which disks are mounted: " + what + ": " + why,
              "Run the command where /proc is mounted and the devices can be seen.");
}

// A disk that was pulled out while it was mounted leaves its mount behind.
[[noreturn]] void without_device(const std::string& point, const std::string& device) {
  throw Error(ErrorKind::kBusy, "mounts-unreadable",
              "cannot tell which disks are mounted: there is no device " + device + " for " +
                  point + ", so its disk was removed while it was mounted: umount " + point,
              "Unmount it, then run the same command again.");
}

std::vector<std::string> words_of(std::string_view line) {
  std::istringstream stream{std::string(line)};
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// Blanks and backslashes are written as three octal digits.
std::string unescape(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, code, 8).ptr ==
            text.data() + i + 4) {
      result += static_cast<char>(code);
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end != 0) lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

// "nodev\ttmpfs": file systems that are on no block device.
std::vector<std::string> types_without_device(std::string_view text) {
  std::vector<std::string> types;
  for (const std::string_view line : lines_of(text)) {
    const std::vector<std::string> words = words_of(line);
    if (words.size() == 2 && words[0] == "nodev") types.push_back(words[1]);
  }
  types.emplace_back("rootfs");  // the initramfs, in memory; the kernel does not list it
  return types;
}

std::vector<std::vector<std::string>> read_btrfs(const Sysfs& sysfs) {
  std::vector<std::vector<std::string>> all;
  const fs::path root = sysfs.root();
  if (!sysfs.exists(root, "fs/btrfs")) return all;
  for (const std::string& uuid : sysfs.names_in(root, "fs/btrfs")) {
    const std::string devices = "fs/btrfs/" + uuid + "/devices";
    if (sysfs.exists(root, devices)) all.push_back(sysfs.names_in(root, devices));
  }
  return all;
}

}  // namespace

std::vector<Mount> parse_mountinfo(std::string_view text) {
  std::vector<Mount> mounts;
  for (const std::string_view line : lines_of(text)) {
    const std::vector<std::string> words = words_of(line);
    const auto separator = std::ranges::find(words, "-");
    if (words.size() < 10 || words.end() - separator < 3) {
      throw FormatError("'" + std::string(line) + "' is no line of mountinfo");
    }
    const std::optional<DeviceNumber> device = DeviceNumber::parse(words[2]);
    if (!device) throw FormatError("'" + words[2] + "' is no device number");
    mounts.push_back({words[0], *device, unescape(words[4]), separator[1], unescape(separator[2]),
                      words.end() - separator > 3 ? unescape(separator[3]) : std::string()});
  }
  return mounts;
}

std::vector<fs::path> parse_swaps(std::string_view text) {
  std::vector<fs::path> swaps;
  const std::vector<std::string_view> lines = lines_of(text);
  if (lines.empty() || !lines.front().starts_with("Filename")) {
    throw FormatError("/proc/swaps does not begin with its heading");
  }
  for (std::size_t i = 1; i < lines.size(); ++i) {
    swaps.emplace_back(unescape(words_of(lines[i]).at(0)));
  }
  return swaps;
}

MountTable MountTable::read(const Sysfs& sysfs) {
  const auto text_of = [&](const char* name) {
    return posix::read_file(sysfs.proc() / name, kListLimit, ErrorKind::kBusy);
  };
  MountTable table;
  try {
    table.mounts_ = parse_mountinfo(text_of("self/mountinfo"));
    table.swaps_ = parse_swaps(text_of("swaps"));
    table.without_device_ = types_without_device(text_of("filesystems"));
    table.btrfs_ = read_btrfs(sysfs);
  } catch (const Error& error) {
    unreadable(sysfs.proc().string(), error.what());
  } catch (const FormatError& error) {
    unreadable(sysfs.proc().string(), error.what());
  }
  if (table.mounts_.empty()) unreadable(sysfs.proc().string(), "the list of mounts is empty");
  table.own_ = table.mounts_.size();
  table.add_host_mounts(sysfs);
  return table;
}

void MountTable::add_host_mounts(const Sysfs& sysfs) {
  const std::string name = (sysfs.proc() / "1/mountinfo").string();
  std::string text;
  try {
    text = sysfs.host_mounts() != nullptr ? posix::read_from_start(sysfs.host_mounts()->get(), name,
                                                                   kListLimit, ErrorKind::kBusy)
                                          : posix::read_file(name, kListLimit, ErrorKind::kBusy);
  } catch (const Error& error) {
    if (sysfs.host_mounts() != nullptr) unreadable(name, error.what());
    return;  // only root may see those of other users; the kernel still refuses an exclusive open
  }
  try {
    // One that is seen here, too, has another path there when this process was given another root.
    for (Mount& mount : parse_mountinfo(text)) {
      const bool seen = std::ranges::any_of(mounts_, [&](const Mount& own) {
        return own.id == mount.id && own.device == mount.device;
      });
      if (!seen) mounts_.push_back(std::move(mount));
    }
  } catch (const FormatError& error) {
    unreadable(name, error.what());
  }
}

std::vector<const BlockNode*> MountTable::devices_of(const Mount& mount,
                                                     const BlockTree& tree) const {
  return devices_at(mount, tree, 0);
}

std::vector<const BlockNode*> MountTable::devices_at(const Mount& mount, const BlockTree& tree,
                                                     int depth) const {
  if (mount.device.major != 0) {
    const BlockNode* node = tree.find(mount.device);
    if (node == nullptr) {
      without_device(mount.point.string(), mount.device.to_string());
    }
    return {node};
  }
  if (mount.type == "overlay") return devices_of_layers(mount, tree, depth);
  const BlockNode* node =
      mount.source.starts_with("/dev/") ? tree.find_path(mount.source) : nullptr;
  if (mount.type == "btrfs" && node != nullptr) {
    for (const std::vector<std::string>& names : btrfs_) {
      if (std::ranges::find(names, node->name) == names.end()) continue;
      std::vector<const BlockNode*> devices;
      for (const std::string& name : names) {
        const BlockNode* device = tree.find(name);
        if (device == nullptr) without_device(mount.point.string(), name);
        devices.push_back(device);
      }
      return devices;
    }
    unreadable(mount.point.string(), "the kernel does not tell the devices of this btrfs");
  }
  if (node != nullptr) return {node};
  if (std::ranges::find(without_device_, mount.type) != without_device_.end()) return {};
  // FUSE tells its kind behind a dot.
  const std::string_view type(mount.type);
  const std::string family(type.substr(0, type.find('.')));
  if (std::ranges::find(without_device_, family) != without_device_.end()) return {};
  unreadable(mount.point.string(),
             "file system " + mount.type + " on " + mount.source + " tells no device");
}

std::vector<const BlockNode*> MountTable::devices_of_layers(const Mount& overlay,
                                                            const BlockTree& tree,
                                                            int depth) const {
  if (depth == kMostLayers) unreadable(overlay.point.string(), "too many overlays");
  std::vector<const BlockNode*> devices;
  std::istringstream options(overlay.options);
  for (std::string option; std::getline(options, option, ',');) {
    const std::size_t equals = option.find('=');
    if (equals == std::string::npos) continue;
    const std::string key = option.substr(0, equals);
    if (key != "upperdir" && key != "lowerdir" && key != "workdir") continue;
    std::istringstream layers(option.substr(equals + 1));
    for (std::string layer; std::getline(layers, layer, ':');) {
      const Mount* mount = layer.starts_with('/') ? around(layer) : nullptr;
      // A layer that only another namespace sees: what it lies on is mounted there, and held.
      if (mount == nullptr || mount == &overlay) continue;
      const auto below = devices_at(*mount, tree, depth + 1);
      devices.insert(devices.end(), below.begin(), below.end());
    }
  }
  return devices;
}

// Of those around the path the innermost; of several at one place the last, which hides the others.
const Mount* MountTable::around(const fs::path& path) const {
  const Mount* best = nullptr;
  for (const Mount& mount : std::span(mounts_).first(own_)) {
    if (!is_within(path, mount.point)) continue;
    if (best == nullptr || mount.point.native().size() >= best->point.native().size())
      best = &mount;
  }
  return best;
}

std::vector<const BlockNode*> MountTable::devices_of(const fs::path& path,
                                                     const BlockTree& tree) const {
  if (const Mount* mount = around(path)) return devices_at(*mount, tree, 0);
  // In a changed root the file system of the root itself may be missing in the list.
  struct stat status {};
  fs::path there = path;
  while (::stat(there.c_str(), &status) != 0 && there.has_relative_path()) {
    there = there.parent_path();
  }
  const DeviceNumber device = DeviceNumber::of(status.st_dev);
  if (device.major == 0) unreadable(path.string(), "no mounted file system holds it");
  const BlockNode* node = tree.find(device);
  if (node == nullptr) without_device(path.string(), device.to_string());
  return {node};
}

}  // namespace driveprep::inventory

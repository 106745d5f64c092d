// Attributes of block devices in sysfs, and where /proc and /dev are. They can be other
// directories: tests play recorded ones.
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/bytes.h"
#include "base/unique_fd.h"

namespace driveprep::inventory {

// The number of a block device: what the kernel means, whatever its name is just now.
struct DeviceNumber {
  unsigned major = 0;
  unsigned minor = 0;

  static DeviceNumber of(dev_t number);
  static std::optional<DeviceNumber> parse(std::string_view text);  // "8:16"
  std::string to_string() const;                                    // "8:16"
  friend auto operator<=>(const DeviceNumber&, const DeviceNumber&) = default;
};

class Sysfs {
 public:
  explicit Sysfs(std::filesystem::path sys = "/sys", std::filesystem::path proc = "/proc",
                 std::filesystem::path dev = "/dev")
      : sys_(std::move(sys)), proc_(std::move(proc)), dev_(std::move(dev)) {}

  // All whole disks and partitions: the real directories behind sys/class/block, by name. Throws
  // kBusy "sysfs-unreadable": no list is not an empty list.
  std::vector<std::filesystem::path> block_devices() const;

  // Text of an attribute without the white space around it; nullopt when there is none of this
  // name. `name` may go through directories: "queue/rotational". Throws kBusy "sysfs-unreadable".
  std::optional<std::string> attribute(const std::filesystem::path& device,
                                       const std::string& name) const;
  std::optional<Bytes> binary(const std::filesystem::path& device, const std::string& name) const;
  // Throw also where it is absent, or is no number.
  std::string required(const std::filesystem::path& device, const std::string& name) const;
  std::uint64_t number(const std::filesystem::path& device, const std::string& name) const;
  bool flag(const std::filesystem::path& device, const std::string& name) const;  // 0 or 1

  // Names in a directory of a device, sorted. Throws as required().
  std::vector<std::string> names_in(const std::filesystem::path& device,
                                    const std::string& name) const;
  bool exists(const std::filesystem::path& device, const std::string& name) const;

  // The directory of sys itself, without symbolic links: where the walk to parents ends.
  std::filesystem::path root() const;
  const std::filesystem::path& proc() const { return proc_; }
  const std::filesystem::path& dev() const { return dev_; }

  // The mounts of process 1, opened while that was allowed: where /proc hides the processes of
  // others (hidepid), whoever has become another user since may not open them. nullptr: nobody has.
  void set_host_mounts(std::shared_ptr<const UniqueFd> list) { host_mounts_ = std::move(list); }
  const UniqueFd* host_mounts() const { return host_mounts_.get(); }

 private:
  std::filesystem::path sys_;
  std::filesystem::path proc_;
  std::filesystem::path dev_;
  std::shared_ptr<const UniqueFd> host_mounts_;
};

}  // namespace driveprep::inventory

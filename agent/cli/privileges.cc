#include "agent/cli/privileges.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "base/privileges.h"
#include "drive/guard/opener_process.h"

namespace driveprep::cli {
namespace {

// The volume commands take partitions and foreign disks, and open them themselves.
constexpr std::array<std::string_view, 6> kDiskCommands = {"drives", "plan",   "prepare",
                                                           "test",   "verify", "wipe"};

std::unique_ptr<guard::DiskOpener> opener;
std::shared_ptr<const UniqueFd> host_mounts;

}  // namespace

void separate_privileges(int argc, char** argv) {
  const bool disks = argc > 1 && std::ranges::find(kDiskCommands, argv[1]) != kDiskCommands.end();
  if (!disks || ::geteuid() != 0) return;
  opener = guard::start_opener_process();
  UniqueFd mounts(::open("/proc/1/mountinfo", O_RDONLY | O_CLOEXEC));
  if (mounts.valid()) host_mounts = std::make_shared<const UniqueFd>(std::move(mounts));
  if (const auto user = user_behind_sudo()) become(*user);
}

guard::DiskOpener& disk_opener() {
  if (!opener) opener = std::make_unique<guard::OwnOpener>();
  return *opener;
}

inventory::Sysfs machine_files() {
  inventory::Sysfs files;
  files.set_host_mounts(host_mounts);
  return files;
}

}  // namespace driveprep::cli

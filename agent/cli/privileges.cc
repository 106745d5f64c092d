#include "agent/cli/privileges.h"

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

}  // namespace

void separate_privileges(int argc, char** argv) {
  const bool disks = argc > 1 && std::ranges::find(kDiskCommands, argv[1]) != kDiskCommands.end();
  if (!disks || ::geteuid() != 0) return;
  opener = guard::start_opener_process();
  if (const auto user = user_behind_sudo()) become(*user);
}

guard::DiskOpener& disk_opener() {
  if (!opener) opener = std::make_unique<guard::OwnOpener>();
  return *opener;
}

}  // namespace driveprep::cli

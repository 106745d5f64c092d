#include "drive/inventory/disk_presence.h"

#include <algorithm>
#include <array>
#include <thread>

namespace driveprep::inventory {
namespace {

constexpr std::chrono::milliseconds kPause{100};
constexpr std::chrono::seconds kBelieved{60};

constexpr const char* kUnplugged = "it was unplugged, or has lost its power";

// The states of SCSI disks, SATA and USB among them, and of NVMe controllers. The kernel goes on to
// one of these from all others ("blocked", "transport-offline", "resetting", "connecting", ...).
constexpr std::array<std::string_view, 2> kAnswering = {"running", "live"};
constexpr std::array<std::string_view, 4> kRemoved = {"cancel", "deleted", "deleting",
                                                      "deleting (no IO)"};
constexpr std::array<std::string_view, 2> kGivenUp = {"offline", "dead"};

template <std::size_t n>
bool is_one_of(const std::array<std::string_view, n>& states, const std::string& state) {
  return std::ranges::find(states, state) != states.end();
}

struct Presence {
  bool removed = false;
  std::string lost;  // how it is lost if it stays like this; "" while it answers
};

Presence look(const Sysfs& sysfs, const DiskHandle& handle) {
  const Presence removed{true, kUnplugged};
  const std::filesystem::path disk = sysfs.root() / "dev/block" / handle.number.to_string();
  std::error_code missing;
  if (!std::filesystem::exists(disk, missing)) return removed;
  try {
    if (handle.sequence && sysfs.number(disk, "diskseq") != *handle.sequence) return removed;
    if (sysfs.number(disk, "size") == 0) return removed;
    const std::string state = sysfs.attribute(disk, "device/state").value_or("running");
    if (is_one_of(kAnswering, state)) return {};
    if (is_one_of(kRemoved, state)) return removed;
    if (is_one_of(kGivenUp, state)) {
      return {false, "it does not answer any more, and the kernel has given it up (" + state + ")"};
    }
    return {false, "its connection is lost, and does not come back (" + state + ")"};
  } catch (const Error&) {
    return removed;  // it went while it was looked at
  }
}

}  // namespace

std::string departure(const Sysfs& sysfs, const DiskHandle& handle,
                      std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const Presence presence = look(sysfs, handle);
    if (presence.removed || std::chrono::steady_clock::now() >= end) return presence.lost;
    std::this_thread::sleep_for(kPause);
  }
}

std::string PresenceWatch::departure() {
  using Clock = std::chrono::steady_clock;
  {
    const std::scoped_lock lock(mutex_);
    const bool lately = found_there_ && Clock::now() - *found_there_ < kBelieved;
    if (lately && inventory::departure(sysfs_, handle_, std::chrono::milliseconds(0)).empty()) {
      return {};
    }
  }
  const std::string gone = inventory::departure(sysfs_, handle_);
  const std::scoped_lock lock(mutex_);
  found_there_ = gone.empty() ? std::optional(Clock::now()) : std::nullopt;
  return gone;
}

}  // namespace driveprep::inventory

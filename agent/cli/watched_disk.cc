#include "agent/cli/watched_disk.h"

#include <utility>

#include "agent/cli/stop_signals.h"
#include "agent/prepare/drive_sensors.h"

namespace driveprep::cli {
namespace {

class WatchedReader final : public block::ReadableDevice {
 public:
  WatchedReader(prepare::DriveMonitor& monitor, std::unique_ptr<block::FileDevice> device)
      : device_(std::move(device)), watch_(monitor, device_->outstanding()) {}
  std::uint64_t size() const override { return device_->size(); }
  SectorSize sector_size() const override { return device_->sector_size(); }
  std::string name() const override { return device_->name(); }
  void read(std::uint64_t offset, MutableByteView out) const override {
    device_->read(offset, out);
  }

 private:
  std::unique_ptr<block::FileDevice> device_;
  prepare::DriveMonitor::Watch watch_;
};

}  // namespace

WatchedDisk::WatchedDisk(guard::ArmedDrive& drive, report::DriveProgress& progress)
    : drive_(drive),
      monitor_(prepare::heat_limits_of(drive), hooks(), progress, &stop_requested()),
      watch_(monitor_, drive.device().outstanding()) {}

std::unique_ptr<block::ReadableDevice> WatchedDisk::open_for_reading() {
  std::unique_ptr<block::FileDevice> device = drive_.open_for_reading();
  cache_bypassed_ = device->bypasses_cache();
  return std::make_unique<WatchedReader>(monitor_, std::move(device));
}

std::vector<std::string> WatchedDisk::warnings() const {
  const std::scoped_lock lock(mutex_);
  return warnings_;
}

prepare::DriveMonitor::Hooks WatchedDisk::hooks() {
  prepare::DriveMonitor::Hooks hooks = prepare::sensors_of(drive_);
  hooks.warn = [this](const std::string& what) { warn(what); };
  hooks.stalled = [this](const std::string& what) { warn("the drive stalled: " + what); };
  return hooks;
}

void WatchedDisk::warn(const std::string& what) {
  const std::scoped_lock lock(mutex_);
  warnings_.push_back(what);
}

}  // namespace driveprep::cli

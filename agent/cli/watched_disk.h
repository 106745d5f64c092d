// A disk that a command outside a job works on, watched meanwhile: whether it answers, and how hot
// it is.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/prepare/drive_monitor.h"
#include "agent/report/drive_progress.h"
#include "drive/guard/drive_target.h"

namespace driveprep::cli {

class WatchedDisk {
 public:
  // Both must outlive this. Health is asked for only where the drive told it when it was armed.
  WatchedDisk(guard::ArmedDrive& drive, report::DriveProgress& progress);

  // As DriveMonitor::wait_while_hot(): before each write.
  void wait_while_hot() { monitor_.wait_while_hot(); }

  // The disk once more, past the page cache, and watched, too; must not outlive this.
  std::unique_ptr<block::ReadableDevice> open_for_reading();

  // Whether what was last opened for reading is really read from the disk.
  bool cache_bypassed() const { return cache_bypassed_; }

  // What there was to be said of it so far.
  std::vector<std::string> warnings() const;

 private:
  prepare::DriveMonitor::Hooks hooks();
  void warn(const std::string& what);

  guard::ArmedDrive& drive_;
  bool cache_bypassed_ = false;
  mutable std::mutex mutex_;
  std::vector<std::string> warnings_;  // also from the monitor's thread
  prepare::DriveMonitor monitor_;
  prepare::DriveMonitor::Watch watch_;
};

}  // namespace driveprep::cli

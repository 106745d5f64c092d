// Watches a drive beside the work: whether it still answers, and how hot it is.
//
// A disk that hangs gives no error, and the call that waits for it cannot be ended; all that can be
// done is to say so. A hot one is left in peace until it has cooled.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/prepare/heat.h"
#include "agent/report/drive_progress.h"
#include "drive/block/outstanding.h"
#include "drive/inventory/smart.h"

namespace driveprep::prepare {

class DriveMonitor {
 public:
  struct Pace {
    std::chrono::milliseconds look{1'000};
    std::chrono::milliseconds health{30'000};  // asking takes the drive a moment
    std::chrono::milliseconds silent{30'000};  // shown from here on
    std::chrono::milliseconds stalled{120'000};
    std::chrono::milliseconds longest_pause{30 * 60'000};
  };
  struct Hooks {
    // nullopt when the drive does not answer; empty function: it is never asked.
    std::function<std::optional<inventory::Health>()> health;
    // Of a drive that does not tell its temperature with its health; may be empty, too.
    std::function<std::optional<int>()> celsius;
    std::function<void(const std::string& what)> warn;
    // Once for each silence: "no answer for 120 s to write at byte 1048576".
    std::function<void(const std::string& what)> stalled;
  };

  // `stop` may be null. All must outlive this.
  DriveMonitor(HeatLimits limits, Hooks hooks, report::DriveProgress& progress,
               const std::atomic<bool>* stop);
  DriveMonitor(HeatLimits limits, Hooks hooks, report::DriveProgress& progress,
               const std::atomic<bool>* stop, Pace pace);
  ~DriveMonitor();
  DriveMonitor(const DriveMonitor&) = delete;
  DriveMonitor& operator=(const DriveMonitor&) = delete;

  // The requests to a device, watched for as long as this lives.
  class Watch {
   public:
    Watch(DriveMonitor& monitor, const block::Outstanding& requests);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    DriveMonitor& monitor_;
    const block::Outstanding& requests_;
  };

  // Before a write: returns at once, or once a hot drive has cooled, or the run is to stop. Throws
  // kHealth "drive-too-hot" when it does not cool.
  void wait_while_hot();

 private:
  void run();
  // How long the oldest request has waited.
  std::chrono::steady_clock::duration look_for_silence();
  void look_at_health();
  void heed(int celsius);
  bool stopping() const { return stop_ != nullptr && *stop_; }

  const Hooks hooks_;
  const Pace pace_;
  report::DriveProgress& progress_;
  const std::atomic<bool>* stop_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Heat heat_;
  bool ending_ = false;
  std::vector<const block::Outstanding*> watched_;

  // Of the monitor's thread.
  bool said_warm_ = false;
  bool said_untold_ = false;
  std::optional<std::chrono::steady_clock::time_point> said_stalled_;  // of the request from then
  std::thread thread_;
};

}  // namespace driveprep::prepare

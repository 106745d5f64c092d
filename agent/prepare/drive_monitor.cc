#include "agent/prepare/drive_monitor.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace driveprep::prepare {
namespace {

using Clock = std::chrono::steady_clock;

std::string seconds(Clock::duration time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
}

}  // namespace

DriveMonitor::DriveMonitor(HeatLimits limits, Hooks hooks, report::DriveProgress& progress,
                           const std::atomic<bool>* stop)
    : DriveMonitor(limits, std::move(hooks), progress, stop, Pace()) {}

DriveMonitor::DriveMonitor(HeatLimits limits, Hooks hooks, report::DriveProgress& progress,
                           const std::atomic<bool>* stop, Pace pace)
    : hooks_(std::move(hooks)),
      pace_(pace),
      progress_(progress),
      stop_(stop),
      heat_(limits),
      thread_([this] { run(); }) {}

DriveMonitor::~DriveMonitor() {
  {
    std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

DriveMonitor::Watch::Watch(DriveMonitor& monitor, const block::Outstanding& requests)
    : monitor_(monitor), requests_(requests) {
  std::scoped_lock lock(monitor_.mutex_);
  monitor_.watched_.push_back(&requests_);
}

DriveMonitor::Watch::~Watch() {
  std::scoped_lock lock(monitor_.mutex_);
  std::erase(monitor_.watched_, &requests_);
}

void DriveMonitor::wait_while_hot() {
  std::unique_lock lock(mutex_);
  if (!heat_.pausing()) return;
  const auto began = Clock::now();
  progress_.set_cooling(true);
  // The signal to stop wakes nobody: it is looked at in the pace of the monitor.
  while (heat_.pausing() && !stopping() && Clock::now() - began < pace_.longest_pause) {
    changed_.wait_for(lock, pace_.look);
  }
  progress_.set_cooling(false);
  if (!heat_.pausing() || stopping()) return;
  throw Error(ErrorKind::kHealth, "drive-too-hot",
              "the drive is hotter than " + std::to_string(heat_.limits().resume) +
                  " degrees Celsius and has not cooled for " + seconds(Clock::now() - began),
              "Give it air, then run the same command again.");
}

void DriveMonitor::run() {
  auto next_health = Clock::now();
  std::unique_lock lock(mutex_);
  while (!ending_) {
    lock.unlock();
    // A drive that is slow to answer is not asked for more.
    const bool answering = look_for_silence() < pace_.silent / 3;
    if ((hooks_.health || hooks_.celsius) && answering && Clock::now() >= next_health) {
      look_at_health();
      next_health = Clock::now() + pace_.health;
    }
    lock.lock();
    changed_.wait_for(lock, pace_.look, [this] { return ending_; });
  }
}

Clock::duration DriveMonitor::look_for_silence() {
  std::optional<block::Request> oldest;
  {
    std::scoped_lock lock(mutex_);
    for (const block::Outstanding* requests : watched_) {
      const std::optional<block::Request> request = requests->oldest();
      if (request && (!oldest || request->since < oldest->since)) oldest = request;
    }
  }
  const auto waited = oldest ? Clock::now() - oldest->since : Clock::duration::zero();
  const bool silent = waited >= pace_.silent;
  progress_.set_silence(silent ? std::chrono::duration_cast<std::chrono::seconds>(waited)
                               : std::chrono::seconds(0));
  if (waited < pace_.stalled || said_stalled_ == oldest->since) return waited;
  said_stalled_ = oldest->since;
  hooks_.stalled("no answer for " + seconds(waited) + " to " + oldest->operation + " at byte " +
                 std::to_string(oldest->offset));
  return waited;
}

void DriveMonitor::look_at_health() {
  std::optional<int> celsius;
  if (hooks_.health) {
    const std::optional<inventory::Health> health = hooks_.health();
    if (health) celsius = health->celsius;
    if (!health && !said_untold_) {
      hooks_.warn("the drive does not tell its health and temperature any more");
    }
    said_untold_ = !health;
  }
  if (!celsius && hooks_.celsius) celsius = hooks_.celsius();
  if (celsius) heed(*celsius);
}

void DriveMonitor::heed(int celsius) {
  progress_.set_celsius(celsius);
  bool warm = false;
  {
    std::scoped_lock lock(mutex_);
    heat_.update(celsius);
    warm = heat_.warm();
  }
  changed_.notify_all();
  if (warm && !said_warm_) {
    hooks_.warn("the drive is at " + std::to_string(celsius) +
                " degrees Celsius; writing pauses at " + std::to_string(heat_.limits().pause));
  }
  said_warm_ = warm;
}

}  // namespace driveprep::prepare

// How fast a drive is, and how long it will take: from snapshots of its counters.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "agent/report/drive_progress.h"

namespace driveprep::report {

// Speed over the last three seconds and since the phase began; time left from the latter.
class RateMeter {
 public:
  using Clock = std::chrono::steady_clock;

  void update(const DriveProgress::Snapshot& snapshot, Clock::time_point now);
  // Whether there is a speed yet: not at the first look at a phase.
  bool known() const { return known_; }
  double current_rate() const { return current_; }  // bytes per second
  double average_rate() const { return average_; }
  // -1: not known (in the first five seconds of a phase, or nothing moves).
  std::int64_t seconds_left() const { return seconds_left_; }
  bool new_phase() const { return new_phase_; }

 private:
  struct Sample {
    Clock::time_point time;
    std::uint64_t bytes;
  };
  std::uint64_t phase_number_ = 0;
  Clock::time_point phase_start_;
  std::vector<Sample> samples_;
  double current_ = 0;
  double average_ = 0;
  std::int64_t seconds_left_ = -1;
  bool new_phase_ = false;
  bool known_ = false;
};

}  // namespace driveprep::report

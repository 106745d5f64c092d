// Shows the progress of all drives on standard error while they are worked on.
//
// On a terminal: one line a drive, redrawn four times a second, erased at the end. Elsewhere: a line
// a drive every 30 seconds and at each new phase. As JSON: one object a line, every second.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/report/drive_progress.h"

namespace driveprep::report {

enum class ProgressStyle { kTerminal, kPlain, kJson, kSilent };
// kTerminal when standard error is one, else kPlain.
ProgressStyle progress_style_for_stderr();

// Speed over the last seconds and since the phase began; time left from both.
class RateMeter {
 public:
  using Clock = std::chrono::steady_clock;

  void update(const DriveProgress::Snapshot& snapshot, Clock::time_point now);
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
};

class ProgressDisplay {
 public:
  // The progress objects must outlive this.
  ProgressDisplay(std::vector<const DriveProgress*> drives, ProgressStyle style);
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;
  // Stops and erases the lines.
  ~ProgressDisplay();

 private:
  void run();
  void show(bool last);
  void draw_lines();
  void erase_lines();
  std::string line(const DriveProgress& drive, const RateMeter& meter) const;
  std::string json_line(const DriveProgress& drive, const RateMeter& meter) const;

  std::vector<const DriveProgress*> drives_;
  std::vector<RateMeter> meters_;
  ProgressStyle style_;
  RateMeter::Clock::time_point start_ = RateMeter::Clock::now();
  RateMeter::Clock::time_point last_shown_{};
  std::size_t lines_drawn_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace driveprep::report

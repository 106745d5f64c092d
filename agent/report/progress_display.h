// Shows the progress of all drives on standard error while they are worked on.
//
// On a terminal: one line a drive, redrawn four times a second, erased at the end. Elsewhere: a line
// a drive every 30 seconds and at each new phase. As JSON: one object a line, every second. That the
// operator has asked for a stop is shown, too: work goes on to the next checkpoint.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/report/drive_progress.h"
#include "agent/report/rate_meter.h"

namespace driveprep::report {

enum class ProgressStyle { kTerminal, kPlain, kJson, kSilent };
// kTerminal when standard error is one, else kPlain.
ProgressStyle progress_style_for_stderr();

class ProgressDisplay {
 public:
  // The progress objects must outlive this, and so must `stopping`, which may be null.
  ProgressDisplay(std::vector<const DriveProgress*> drives, ProgressStyle style,
                  const std::atomic<bool>* stopping = nullptr);
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;
  // Stops and erases the lines.
  ~ProgressDisplay();

 private:
  void run();
  void show(bool last);
  void show_stopping();
  void draw_lines();
  void erase_lines();
  std::string json_line(const DriveProgress& drive, const RateMeter& meter) const;

  std::vector<const DriveProgress*> drives_;
  std::vector<RateMeter> meters_;
  ProgressStyle style_;
  const std::atomic<bool>* stopping_;
  bool stopping_shown_ = false;
  RateMeter::Clock::time_point start_ = RateMeter::Clock::now();
  RateMeter::Clock::time_point last_shown_{};
  std::size_t lines_drawn_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace driveprep::report

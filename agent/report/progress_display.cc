#include "agent/report/progress_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "agent/report/progress_line.h"

namespace driveprep::report {
namespace {

using namespace std::chrono_literals;

constexpr const char* kStopping =
    "stopping at the next checkpoint (Ctrl-C once more: stop at once)";

std::chrono::milliseconds interval(ProgressStyle style) {
  switch (style) {
    case ProgressStyle::kTerminal: return 250ms;
    case ProgressStyle::kJson: return 1000ms;
    default: return 500ms;  // looks for new phases; lines come every 30 s
  }
}

std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
  return 80;
}

}  // namespace

ProgressStyle progress_style_for_stderr() {
  return ::isatty(STDERR_FILENO) ? ProgressStyle::kTerminal : ProgressStyle::kPlain;
}

ProgressDisplay::ProgressDisplay(std::vector<const DriveProgress*> drives, ProgressStyle style,
                                 const std::atomic<bool>* stopping)
    : drives_(std::move(drives)), meters_(drives_.size()), style_(style), stopping_(stopping) {
  if (style_ != ProgressStyle::kSilent) thread_ = std::thread([this] { run(); });
}

ProgressDisplay::~ProgressDisplay() {
  {
    std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ProgressDisplay::run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, interval(style_), [this] { return ending_; })) show(false);
  show(true);
  erase_lines();
}

void ProgressDisplay::show(bool last) {
  const auto now = RateMeter::Clock::now();
  for (std::size_t i = 0; i < drives_.size(); ++i) meters_[i].update(drives_[i]->snapshot(), now);
  if (style_ == ProgressStyle::kTerminal) {
    draw_lines();
    return;
  }
  show_stopping();
  const bool due = now - last_shown_ >= 30s || last;
  for (std::size_t i = 0; i < drives_.size(); ++i) {
    if (style_ == ProgressStyle::kJson) {
      std::fprintf(stderr, "%s\n", json_line(*drives_[i], meters_[i]).c_str());
    } else if ((due && !last) || meters_[i].new_phase()) {
      const std::string line = progress_line(drives_[i]->drive_id(), drives_[i]->snapshot(),
                                             meters_[i], std::numeric_limits<std::size_t>::max());
      std::fprintf(stderr, "%s\n", line.c_str());
    }
  }
  if (due) last_shown_ = now;
}

void ProgressDisplay::show_stopping() {
  if (stopping_ == nullptr || !*stopping_ || stopping_shown_) return;
  stopping_shown_ = true;
  if (style_ == ProgressStyle::kJson) {
    const nlohmann::ordered_json event = {{"schema", 1}, {"event", "stopping"}};
    std::fprintf(stderr, "%s\n", event.dump().c_str());
  } else {
    std::fprintf(stderr, "%s\n", kStopping);
  }
}

std::string ProgressDisplay::json_line(const DriveProgress& drive, const RateMeter& meter) const {
  const DriveProgress::Snapshot now = drive.snapshot();
  const auto elapsed = RateMeter::Clock::now() - start_;
  nlohmann::ordered_json line = {
      {"schema", 1},
      {"event", "progress"},
      {"drive", drive.drive_id()},
      {"phase", to_string(now.phase)},
      {"bytes_done", now.bytes_done},
      {"bytes_total", now.bytes_total},
      {"files_done", now.files_done},
      {"files_total", now.files_total},
      {"rate", static_cast<std::uint64_t>(meter.current_rate())},
      {"avg_rate", static_cast<std::uint64_t>(meter.average_rate())},
      {"eta_ms", nullptr},
      {"monotonic_ms", std::chrono::duration_cast<std::chrono::milliseconds>(elapsed).count()},
  };
  line["temperature"] = nullptr;
  if (now.celsius) line["temperature"] = *now.celsius;
  line["paused_by_heat"] = now.cooling;
  line["silent_seconds"] = now.silence.count();
  if (meter.seconds_left() >= 0) line["eta_ms"] = meter.seconds_left() * 1000;
  return line.dump();
}

void ProgressDisplay::draw_lines() {
  erase_lines();
  const std::size_t width = terminal_width() - 1;
  for (std::size_t i = 0; i < drives_.size(); ++i) {
    const std::string line =
        progress_line(drives_[i]->drive_id(), drives_[i]->snapshot(), meters_[i], width);
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  lines_drawn_ = drives_.size();
  if (stopping_ != nullptr && *stopping_) {
    std::fprintf(stderr, "%s\n", std::string(kStopping).substr(0, width).c_str());
    ++lines_drawn_;
  }
  std::fflush(stderr);
}

void ProgressDisplay::erase_lines() {
  if (lines_drawn_ == 0) return;
  // Up to the first line, then clear to the end: what the terminal echoed below (^C) goes, too.
  std::fprintf(stderr, "\r\x1b[%zuA\x1b[J", lines_drawn_);
  lines_drawn_ = 0;
  std::fflush(stderr);
}

}  // namespace driveprep::report

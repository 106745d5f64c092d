#include "agent/report/progress_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "agent/report/sizes.h"

namespace driveprep::report {
namespace {

using namespace std::chrono_literals;

constexpr auto kWindow = 3s;  // of the current rate
constexpr auto kNoEstimateBefore = 5s;

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

bool counts(Phase phase) { return phase == Phase::kCopying || phase == Phase::kVerifying; }

}  // namespace

ProgressStyle progress_style_for_stderr() {
  return ::isatty(STDERR_FILENO) ? ProgressStyle::kTerminal : ProgressStyle::kPlain;
}

void RateMeter::update(const DriveProgress::Snapshot& snapshot, Clock::time_point now) {
  new_phase_ = snapshot.phase_number != phase_number_;
  if (new_phase_) {
    phase_number_ = snapshot.phase_number;
    phase_start_ = now;
    samples_.clear();
    current_ = average_ = 0;
    seconds_left_ = -1;
  }
  samples_.push_back({now, snapshot.bytes_done});
  const auto recent = std::ranges::find_if(
      samples_, [&](const Sample& sample) { return now - sample.time <= kWindow; });
  samples_.erase(samples_.begin(), recent);

  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  const double window = seconds(now - samples_.front().time);
  if (window > 0) {
    current_ = static_cast<double>(snapshot.bytes_done - samples_.front().bytes) / window;
  }
  const double elapsed = seconds(now - phase_start_);
  if (elapsed > 0) {
    average_ = static_cast<double>(snapshot.bytes_done - snapshot.bytes_start) / elapsed;
  }
  seconds_left_ = -1;
  if (now - phase_start_ >= kNoEstimateBefore && average_ > 0 &&
      snapshot.bytes_total >= snapshot.bytes_done) {
    seconds_left_ = static_cast<std::int64_t>(
        static_cast<double>(snapshot.bytes_total - snapshot.bytes_done) / average_);
  }
}

ProgressDisplay::ProgressDisplay(std::vector<const DriveProgress*> drives, ProgressStyle style)
    : drives_(std::move(drives)), meters_(drives_.size()), style_(style) {
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
  const bool due = now - last_shown_ >= 30s || last;
  for (std::size_t i = 0; i < drives_.size(); ++i) {
    if (style_ == ProgressStyle::kJson) {
      std::fprintf(stderr, "%s\n", json_line(*drives_[i], meters_[i]).c_str());
    } else if ((due && !last) || meters_[i].new_phase()) {
      std::fprintf(stderr, "%s\n", line(*drives_[i], meters_[i]).c_str());
    }
  }
  if (due) last_shown_ = now;
}

std::string ProgressDisplay::line(const DriveProgress& drive, const RateMeter& meter) const {
  const DriveProgress::Snapshot now = drive.snapshot();
  std::string text = drive.drive_id() + "  " + std::string(to_string(now.phase));
  if (!counts(now.phase)) return text;
  const std::uint64_t percent =
      now.bytes_total > 0 ? std::min<std::uint64_t>(now.bytes_done * 100 / now.bytes_total, 99) : 0;
  text += "  " + std::to_string(percent) + " %  " + human_bytes(now.bytes_done) + " of " +
          human_bytes(now.bytes_total) + "  " + human_count(now.files_done) + " of " +
          human_count(now.files_total) + " files  " +
          human_bytes(static_cast<std::uint64_t>(meter.current_rate())) + "/s";
  if (meter.seconds_left() >= 0) {
    text += "  " + human_duration(std::chrono::seconds(meter.seconds_left())) + " left";
  }
  return text;
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
  if (meter.seconds_left() >= 0) line["eta_ms"] = meter.seconds_left() * 1000;
  return line.dump();
}

void ProgressDisplay::draw_lines() {
  erase_lines();
  const std::size_t width = terminal_width() - 1;
  for (std::size_t i = 0; i < drives_.size(); ++i) {
    std::fprintf(stderr, "%s\n", line(*drives_[i], meters_[i]).substr(0, width).c_str());
  }
  lines_drawn_ = drives_.size();
  std::fflush(stderr);
}

void ProgressDisplay::erase_lines() {
  // Up and clear, line by line.
  for (; lines_drawn_ > 0; --lines_drawn_) std::fputs("\x1b[1A\x1b[2K", stderr);
  std::fflush(stderr);
}

}  // namespace driveprep::report

#include "agent/report/rate_meter.h"

#include <algorithm>

namespace driveprep::report {
namespace {

using namespace std::chrono_literals;

constexpr auto kWindow = 3s;  // of the current rate
constexpr auto kNoEstimateBefore = 5s;

double seconds(RateMeter::Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

void RateMeter::update(const DriveProgress::Snapshot& snapshot, Clock::time_point now) {
  new_phase_ = snapshot.phase_number != phase_number_;
  if (new_phase_) {
    phase_number_ = snapshot.phase_number;
    phase_start_ = now;
    samples_.clear();
    current_ = average_ = 0;
    known_ = false;
  }
  // What was done before, or needed no doing, is no speed.
  const std::uint64_t moved = snapshot.bytes_done - std::min(snapshot.bytes_start, snapshot.bytes_done);
  samples_.push_back({now, moved});
  const auto recent = std::ranges::find_if(
      samples_, [&](const Sample& sample) { return now - sample.time <= kWindow; });
  samples_.erase(samples_.begin(), recent);

  const double window = seconds(now - samples_.front().time);
  if (window > 0) {
    current_ = static_cast<double>(moved - std::min(samples_.front().bytes, moved)) / window;
    known_ = true;
  }
  const double elapsed = seconds(now - phase_start_);
  if (elapsed > 0) average_ = static_cast<double>(moved) / elapsed;
  seconds_left_ = -1;
  if (now - phase_start_ >= kNoEstimateBefore && average_ > 0 &&
      snapshot.bytes_total >= snapshot.bytes_done) {
    seconds_left_ = static_cast<std::int64_t>(
        static_cast<double>(snapshot.bytes_total - snapshot.bytes_done) / average_);
  }
}

}  // namespace driveprep::report

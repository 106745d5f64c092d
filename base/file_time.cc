#include "base/file_time.h"

namespace driveprep {

FileTime FileTime::from_timespec(const timespec& time) {
  const std::int64_t seconds = static_cast<std::int64_t>(time.tv_sec) + kUnixEpochSeconds;
  if (seconds < 0) return {0};
  return {static_cast<std::uint64_t>(seconds) * kTicksPerSecond +
          static_cast<std::uint64_t>(time.tv_nsec) / 100};
}

FileTime FileTime::now() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return from_timespec(time);
}

timespec FileTime::to_timespec() const {
  timespec time{};
  time.tv_sec =
      static_cast<time_t>(static_cast<std::int64_t>(ticks / kTicksPerSecond) - kUnixEpochSeconds);
  time.tv_nsec = static_cast<long>(ticks % kTicksPerSecond) * 100;
  return time;
}

std::string FileTime::iso8601() const {
  const timespec time = to_timespec();
  std::tm parts{};
  gmtime_r(&time.tv_sec, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace driveprep

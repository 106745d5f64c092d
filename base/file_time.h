// FILETIME: 100 ns ticks since 1601-01-01 UTC, as in BitLocker and NTFS.
#pragma once

#include <compare>
#include <cstdint>
#include <ctime>
#include <string>

namespace driveprep {

struct FileTime {
  static constexpr std::uint64_t kTicksPerSecond = 10'000'000;
  static constexpr std::int64_t kUnixEpochSeconds = 11'644'473'600;

  std::uint64_t ticks = 0;

  // Times before 1601 become 1601.
  static FileTime from_timespec(const timespec& time);
  static FileTime now();
  timespec to_timespec() const;
  // Whole milliseconds, as Windows writes the times of protectors.
  FileTime rounded_to_ms() const { return {ticks / 10'000 * 10'000}; }
  // "2026-11-21T21:57:03Z" (UTC, whole seconds).
  std::string iso8601() const;

  friend constexpr auto operator<=>(FileTime, FileTime) = default;
};

}  // namespace driveprep

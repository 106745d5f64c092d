#include "agent/cli/utc_time.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "agent/cli/output.h"
#include "base/ascii.h"
#include "base/error.h"
#include "base/file_time.h"

namespace driveprep::cli {
namespace {

// Every 0 of the pattern is a digit of the text, every other character is itself.
bool has_form(const std::string& text, std::string_view pattern) {
  return std::ranges::equal(text, pattern, [](char c, char expected) {
    return expected == '0' ? ascii::is_digit(c) : c == expected;
  });
}

std::optional<keywrap::UnixSeconds> seconds_of(const std::string& text) {
  const bool with_time = has_form(text, "0000-00-00T00:00:00Z");
  if (!with_time && !has_form(text, "0000-00-00")) return std::nullopt;
  const auto number = [&text](std::size_t at, std::size_t length) {
    return static_cast<unsigned>(std::stoul(text.substr(at, length)));
  };
  using namespace std::chrono;
  const year_month_day date{year(static_cast<int>(number(0, 4))), month(number(5, 2)),
                            day(number(8, 2))};
  // A key is neither made nor kept before the epoch.
  if (!date.ok() || number(0, 4) < 1970) return std::nullopt;
  const keywrap::UnixSeconds midnight = sys_seconds(sys_days(date)).time_since_epoch().count();
  if (!with_time) return midnight;
  const unsigned hours = number(11, 2);
  const unsigned minutes = number(14, 2);
  const unsigned seconds = number(17, 2);
  if (hours > 23 || minutes > 59 || seconds > 59) return std::nullopt;
  return midnight + hours * 3600 + minutes * 60 + seconds;
}

}  // namespace

keywrap::UnixSeconds parse_utc_time(const std::string& text, const std::string& option) {
  if (const auto seconds = seconds_of(text)) return *seconds;
  throw Error(ErrorKind::kUsage, "time-invalid",
              option + ": \"" + printable_line(text.substr(0, 100)) + "\" is no time",
              "Give UTC as 2026-12-31T00:00:00Z, or a date as 2026-12-31.");
}

std::string utc_text(keywrap::UnixSeconds seconds) {
  return FileTime::from_timespec({.tv_sec = seconds, .tv_nsec = 0}).iso8601();
}

}  // namespace driveprep::cli

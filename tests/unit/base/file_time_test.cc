#include "base/file_time.h"

#include <catch2/catch.hpp>

using namespace driveprep;

TEST_CASE("a FILETIME counts 100 ns from 1601") {
  CHECK(FileTime::from_timespec({0, 0}).ticks == 116'444'736'000'000'000);
  CHECK(FileTime::from_timespec({1'000'000'000, 123'456'789}).ticks ==
        116'444'736'000'000'000 + 10'000'000'000'000'000 + 1'234'567);
  CHECK(FileTime::from_timespec({-11'644'473'600, 0}).ticks == 0);
}

TEST_CASE("times before 1601 become 1601") {
  CHECK(FileTime::from_timespec({-11'644'473'601, 999'999'999}).ticks == 0);
}

TEST_CASE("a time comes back to 100 ns, also one before 1970") {
  const timespec time = GENERATE(timespec{1'783'000'000, 987'654'300}, timespec{-1, 500'000'000},
                                 timespec{253'402'300'799, 999'999'900});
  const timespec back = FileTime::from_timespec(time).to_timespec();
  CHECK(back.tv_sec == time.tv_sec);
  CHECK(back.tv_nsec == time.tv_nsec);
}

TEST_CASE("milliseconds and ISO 8601 cut, they do not round up") {
  const FileTime time = FileTime::from_timespec({1'795'298'223, 999'999'900});
  CHECK(time.rounded_to_ms().to_timespec().tv_nsec == 999'000'000);
  CHECK(time.iso8601() == "2026-11-21T21:57:03Z");
}

TEST_CASE("now is the clock's time") {
  timespec clock{};
  clock_gettime(CLOCK_REALTIME, &clock);
  const auto before = FileTime::from_timespec(clock);
  const FileTime now = FileTime::now();
  CHECK(now >= before);
  CHECK(now.ticks - before.ticks < 60 * FileTime::kTicksPerSecond);
}

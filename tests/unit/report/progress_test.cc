#include <catch2/catch.hpp>

#include <thread>

#include "agent/report/drive_progress.h"
#include "agent/report/rate_meter.h"
#include "agent/report/sizes.h"

using namespace driveprep::report;
using namespace std::chrono_literals;

TEST_CASE("sizes are shown in the units on the label of a drive") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(999) == "999 B");
  CHECK(human_bytes(1500) == "1.5 kB");
  CHECK(human_bytes(999'950'000) == "1.0 GB");
  CHECK(human_bytes(16'000'000'000'000) == "16.0 TB");
  CHECK(human_count(7) == "7");
  CHECK(human_count(1000) == "1,000");
  CHECK(human_count(10'000'000) == "10,000,000");
  CHECK(human_duration(59s) == "59 s");
  CHECK(human_duration(185s) == "3 min 05 s");
  CHECK(human_duration(7800s) == "2 h 10 min");
}

TEST_CASE("no time left is promised in the first five seconds of a phase") {
  DriveProgress drive("D");
  drive.begin(Phase::kCopying, 1000, 10);
  RateMeter meter;
  const RateMeter::Clock::time_point start{100s};
  meter.update(drive.snapshot(), start);
  CHECK(meter.new_phase());
  drive.add_bytes(400);
  meter.update(drive.snapshot(), start + 4s);
  CHECK_FALSE(meter.new_phase());
  CHECK(meter.seconds_left() == -1);
  drive.add_bytes(100);
  meter.update(drive.snapshot(), start + 5s);
  CHECK(meter.average_rate() == Approx(100));
  CHECK(meter.seconds_left() == 5);
}

TEST_CASE("what an earlier run has copied does not count into the rate") {
  DriveProgress drive("D");
  drive.begin(Phase::kCopying, 2000, 0, 1000);
  RateMeter meter;
  const RateMeter::Clock::time_point start{100s};
  meter.update(drive.snapshot(), start);
  drive.add_bytes(500);
  meter.update(drive.snapshot(), start + 10s);
  CHECK(meter.average_rate() == Approx(50));
  CHECK(meter.seconds_left() == 10);
}

TEST_CASE("a drive that stands still gets a current rate of zero") {
  DriveProgress drive("D");
  drive.begin(Phase::kCopying, 1000, 0);
  RateMeter meter;
  const RateMeter::Clock::time_point start{100s};
  meter.update(drive.snapshot(), start);
  drive.add_bytes(300);
  meter.update(drive.snapshot(), start + 1s);
  CHECK(meter.current_rate() > 0);
  for (auto after = 2s; after < 10s; after += 1s) meter.update(drive.snapshot(), start + after);
  CHECK(meter.current_rate() == 0);
}

TEST_CASE("the time spent in a phase is known when it has ended") {
  DriveProgress drive("D");
  drive.begin(Phase::kFormatting);
  CHECK(drive.spent(Phase::kFormatting) == 0ms);
  std::this_thread::sleep_for(5ms);
  drive.begin(Phase::kCopying);
  CHECK(drive.spent(Phase::kFormatting) >= 5ms);
  CHECK(drive.spent(Phase::kCopying) == 0ms);
}

#include <catch2/catch.hpp>

#include "agent/report/drive_progress.h"
#include "agent/report/progress_line.h"

using namespace driveprep::report;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kWide = 200;
constexpr RateMeter::Clock::time_point kStart{100s};

std::string line(const DriveProgress& drive, const RateMeter& meter, std::size_t width = kWide) {
  return progress_line(drive.drive_id(), drive.snapshot(), meter, width);
}

// Half of 2 GB copied in ten seconds.
struct HalfWay {
  DriveProgress drive{"DISK0"};
  RateMeter meter;
  HalfWay() {
    drive.begin(Phase::kCopying, 2'000'000'000, 20'000);
    meter.update(drive.snapshot(), kStart);
    for (int i = 1; i <= 10; ++i) {
      drive.add_bytes(100'000'000);
      drive.add_files(1000);
      meter.update(drive.snapshot(), kStart + i * 1s);
    }
  }
};

}  // namespace

TEST_CASE("a phase begins without a speed that nobody has measured") {
  DriveProgress drive("DISK0");
  drive.begin(Phase::kCopying, 1'600'000'000, 1);
  RateMeter meter;
  meter.update(drive.snapshot(), kStart);
  CHECK(line(drive, meter) == "DISK0  copying     0 %  0 B of 1.6 GB  0 of 1 file");
}

TEST_CASE("a time that cannot be told yet is shown as such, a drive that stands still has 0 B/s") {
  DriveProgress drive("DISK0");
  drive.begin(Phase::kVerifying, 1'600'000'000, 2);
  RateMeter meter;
  meter.update(drive.snapshot(), kStart);
  meter.update(drive.snapshot(), kStart + 1s);
  CHECK(line(drive, meter) == "DISK0  verifying   0 %  0 B of 1.6 GB  0 of 2 files  0 B/s  ? left");
}

TEST_CASE("a line tells how far, how fast and how long still") {
  const HalfWay half;
  CHECK(line(half.drive, half.meter) ==
        "DISK0  copying     50 %  1.0 GB of 2.0 GB  10,000 of 20,000 files  100 MB/s  10 s left");
}

TEST_CASE("on a narrow terminal the speed and the time left stay longest") {
  const HalfWay half;
  CHECK(line(half.drive, half.meter, 79) ==
        "DISK0  copying     50 %  1.0 GB of 2.0 GB  100 MB/s  10 s left");
  CHECK(line(half.drive, half.meter, 50) == "DISK0  copying     50 %  100 MB/s  10 s left");
  for (std::size_t width = 10; width < 100; ++width) {
    CHECK(line(half.drive, half.meter, width).size() <= width);
  }
}

TEST_CASE("empty ranges of page blobs count as done, but not as speed") {
  DriveProgress drive("DISK0");
  drive.begin(Phase::kVerifying, 1'000'000'000, 1);
  RateMeter meter;
  meter.update(drive.snapshot(), kStart);
  drive.skip_bytes(900'000'000);
  drive.add_bytes(50'000'000);
  meter.update(drive.snapshot(), kStart + 10s);
  CHECK(meter.average_rate() == Approx(5'000'000));
  CHECK(meter.seconds_left() == 10);
  CHECK(drive.snapshot().bytes_done == 950'000'000);
}

TEST_CASE("files that hold nothing get on by their number") {
  DriveProgress drive("DISK0");
  drive.begin(Phase::kCopying, 0, 4);
  drive.add_files(3);
  RateMeter meter;
  meter.update(drive.snapshot(), kStart);
  CHECK(line(drive, meter) == "DISK0  copying     75 %  0 B of 0 B  3 of 4 files");
}

TEST_CASE("a search says how much of what it looks through") {
  DriveProgress drive("D");
  const RateMeter meter;
  drive.begin(Phase::kSearching, 4'000'000'000);
  drive.add_bytes(1'000'000'000);
  CHECK(progress_line("D", drive.snapshot(), meter, 80) == "D  searching   25 %  1.0 GB of 4.0 GB");
  drive.begin(Phase::kSearching);
  CHECK(progress_line("D", drive.snapshot(), meter, 80) == "D  searching");
}

TEST_CASE("how a drive ended is told by the names that status uses") {
  CHECK(to_string(Phase::kIncomplete) == "incomplete");
  CHECK(to_string(Phase::kStopped) == "stopped");
  CHECK(to_string(Phase::kFailed) == "failed");
}

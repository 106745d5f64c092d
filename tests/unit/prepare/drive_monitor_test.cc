// Heat, silence and deterioration of a drive, on clocks of milliseconds.
#include "agent/prepare/drive_monitor.h"

#include <catch2/catch.hpp>

#include <future>

#include "agent/prepare/drive_health.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::prepare;
using namespace std::chrono_literals;

namespace {

DriveMonitor::Pace fast() {
  return {.look = 1ms, .health = 1ms, .silent = 20ms, .stalled = 60ms, .longest_pause = 200ms};
}

inventory::Health at(int celsius) {
  inventory::Health health;
  health.celsius = celsius;
  return health;
}

template <typename Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 5000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

struct Drive {
  std::atomic<int> celsius{30};
  std::atomic<bool> silent{false};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::vector<std::string> warnings, stalls;
  report::DriveProgress progress{"D"};

  DriveMonitor::Hooks hooks() {
    DriveMonitor::Hooks hooks;
    hooks.health = [this]() -> std::optional<inventory::Health> {
      if (silent) return std::nullopt;
      return at(celsius);
    };
    hooks.warn = [this](const std::string& what) { keep(warnings, what); };
    hooks.stalled = [this](const std::string& what) { keep(stalls, what); };
    return hooks;
  }
  void keep(std::vector<std::string>& list, const std::string& what) {
    std::scoped_lock lock(mutex);
    list.push_back(what);
  }
  std::size_t count(const std::vector<std::string>& list) {
    std::scoped_lock lock(mutex);
    return list.size();
  }
};

}  // namespace

TEST_CASE("a drive pauses when it is hot and goes on when it is cool, not before") {
  Heat heat(heat_limits(true));
  for (const auto& [celsius, warm, pausing] : {std::tuple(49, false, false),
                                               {50, true, false},
                                               {59, true, false},
                                               {60, true, true},
                                               {53, true, true},
                                               {52, true, false},
                                               {59, true, false},
                                               {20, false, false}}) {
    CAPTURE(celsius);
    heat.update(celsius);
    CHECK(heat.warm() == warm);
    CHECK(heat.pausing() == pausing);
  }
  heat.update(61);
  heat.update(std::nullopt);
  CHECK(heat.pausing());
  CHECK(heat_limits(false).pause == 80);
}

TEST_CASE("writing waits while the drive is hot, and shows it") {
  Drive drive;
  DriveMonitor monitor(heat_limits(true), drive.hooks(), drive.progress, &drive.stop, fast());
  REQUIRE(soon([&] { return drive.progress.snapshot().celsius == 30; }));
  monitor.wait_while_hot();
  drive.celsius = 61;
  REQUIRE(soon([&] { return drive.progress.snapshot().celsius == 61; }));
  auto write = std::async(std::launch::async, [&] { monitor.wait_while_hot(); });
  CHECK(soon([&] { return drive.progress.snapshot().cooling; }));
  CHECK(write.wait_for(10ms) == std::future_status::timeout);
  drive.celsius = 52;
  CHECK(write.wait_for(5s) == std::future_status::ready);
  CHECK_NOTHROW(write.get());
  CHECK_FALSE(drive.progress.snapshot().cooling);
  CHECK(drive.count(drive.warnings) == 1);
}

TEST_CASE("a drive that does not tell its temperature is watched by the kernel's sensor") {
  Drive drive;
  DriveMonitor::Hooks hooks = drive.hooks();
  std::atomic<int> sensor = 45;
  hooks.celsius = [&]() -> std::optional<int> { return sensor; };
  SECTION("and is not asked for its health") { hooks.health = {}; }
  SECTION("nor for as long as it is silent") { drive.silent = true; }
  DriveMonitor monitor(heat_limits(true), hooks, drive.progress, &drive.stop, fast());
  REQUIRE(soon([&] { return drive.progress.snapshot().celsius == 45; }));
  sensor = 61;
  CHECK(soon([&] { return drive.progress.snapshot().celsius == 61; }));
  auto write = std::async(std::launch::async, [&] { monitor.wait_while_hot(); });
  CHECK(soon([&] { return drive.progress.snapshot().cooling; }));
  sensor = 50;
  CHECK(write.wait_for(5s) == std::future_status::ready);
}

TEST_CASE("a drive that does not cool ends the run; a stop ends the wait") {
  Drive drive;
  drive.celsius = 70;
  DriveMonitor monitor(heat_limits(true), drive.hooks(), drive.progress, &drive.stop, fast());
  REQUIRE(soon([&] { return drive.progress.snapshot().celsius == 70; }));
  SECTION("it stays hot") {
    CHECK(test::error_of([&] { monitor.wait_while_hot(); }) == "health/drive-too-hot");
  }
  SECTION("the operator stops") {
    drive.stop = true;
    CHECK_NOTHROW(monitor.wait_while_hot());
  }
}

TEST_CASE("a request without an answer shows, and is reported once") {
  Drive drive;
  block::Outstanding requests;
  DriveMonitor monitor(
      heat_limits(true), drive.hooks(), drive.progress, &drive.stop,
      {.look = 1ms, .health = 1ms, .silent = 1000ms, .stalled = 1200ms, .longest_pause = 200ms});
  const DriveMonitor::Watch watch(monitor, requests);
  { const block::Outstanding::Entry read(requests, "read", 4096); }
  {
    const block::Outstanding::Entry write(requests, "write", 1048576);
    const block::Outstanding::Entry later(requests, "flush", 0);
    CHECK(soon([&] { return drive.progress.snapshot().silence >= 1s; }));
    REQUIRE(soon([&] { return drive.count(drive.stalls) == 1; }));
    std::this_thread::sleep_for(20ms);
  }
  CHECK(soon([&] { return drive.progress.snapshot().silence == 0s; }));
  CHECK(drive.count(drive.stalls) == 1);
  CHECK(drive.stalls.front() == "no answer for 1 s to write at byte 1048576");
}

TEST_CASE("what has grown is told, what has not grown is not") {
  inventory::Health before = at(30);
  before.reallocated = 0;
  before.pending = 3;
  before.crc_errors = 7;
  inventory::Health now = before;
  CHECK(deterioration(before, now).empty());
  CHECK(deterioration(std::nullopt, now).empty());
  CHECK(deterioration(before, std::nullopt).empty());
  now.pending = 2;
  CHECK(deterioration(before, now).empty());
  now.reallocated = 2;
  CHECK(deterioration(before, now) == "2 reallocated sectors more (0 before, 2 now)");
  now.crc_errors = 8;
  CHECK(deterioration(before, now).find("1 interface errors more (7 before") != std::string::npos);
  now = before;
  now.failing = true;
  CHECK(deterioration(before, now) == "it says itself that it is failing");
}

TEST_CASE("a drive that no longer tells its temperature is spoken of, once") {
  Drive drive;
  DriveMonitor monitor(heat_limits(true), drive.hooks(), drive.progress, &drive.stop, fast());
  REQUIRE(soon([&] { return drive.progress.snapshot().celsius == 30; }));
  drive.silent = true;
  REQUIRE(soon([&] { return drive.count(drive.warnings) == 1; }));
  std::this_thread::sleep_for(20ms);
  CHECK(drive.count(drive.warnings) == 1);
  drive.silent = false;
  drive.celsius = 31;
  REQUIRE(soon([&] { return drive.progress.snapshot().celsius == 31; }));
  drive.silent = true;
  CHECK(soon([&] { return drive.count(drive.warnings) == 2; }));
}

TEST_CASE("what was told before the work and is not told after it is missed") {
  inventory::Health before = at(30);
  before.reallocated = 0;
  before.crc_errors = 7;
  inventory::Health now = before;
  CHECK(silence(before, now).empty());
  CHECK(silence(std::nullopt, now).empty());
  CHECK(silence(std::nullopt, std::nullopt).empty());
  CHECK(silence(before, std::nullopt) == "it does not answer SMART");
  now.celsius.reset();  // no count
  CHECK(silence(before, now).empty());
  now.reallocated.reset();
  CHECK(silence(before, now) == "reallocated sectors");
  now.self_assessed = false;
  now.crc_errors.reset();
  CHECK(silence(before, now) == "its own judgement, reallocated sectors, interface errors");
  CHECK(silence(now, before).empty());
}

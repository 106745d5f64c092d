#include "drive/inventory/disk_presence.h"
#include "drive/inventory/temperature.h"

#include <catch2/catch.hpp>
#include <thread>

#include "tests/support/fake_machine.h"

using namespace driveprep;
using namespace driveprep::inventory;
using namespace std::chrono_literals;
using test::FakeMachine;

namespace {

// A disk of the kernel, found by its number.
struct Connected {
  Connected() {
    machine.add_disk({});
    set_state("running");
  }

  std::filesystem::path numbers() const { return machine.root() / "sys/dev/block"; }
  void set_state(const std::string& state) { machine.set("sdb", "device/state", state + "\n"); }
  std::string departure(std::chrono::milliseconds patience = 0ms) const {
    return inventory::departure(machine.sysfs(), {{8, 16}, 7}, patience);
  }

  FakeMachine machine;
};

}  // namespace

TEST_CASE(
    "the kernel's own sensor tells how hot a disk is, below the disk or below its controller") {
  FakeMachine machine;
  machine.add_disk({});
  const std::filesystem::path disk = machine.directory("sdb");
  CHECK(kernel_celsius(disk) == std::nullopt);
  machine.set("sdb", "device/hwmon3/temp1_input", "41850\n");
  CHECK(kernel_celsius(disk) == 41);
  machine.set("sdb", "device/hwmon/hwmon1/name", "drivetemp\n");
  CHECK(kernel_celsius(disk) == 41);
  machine.set("sdb", "device/hwmon/hwmon1/temp1_input", "-3000\n");
  CHECK(kernel_celsius(disk) == -3);
  machine.set("sdb", "device/hwmon/hwmon1/temp1_input", "");
  machine.remove("sdb", "device/hwmon3");
  CHECK(kernel_celsius(disk) == std::nullopt);
}

TEST_CASE("a disk that answers is there, whether its driver tells a state or not") {
  Connected disk;
  CHECK(disk.departure().empty());
  disk.set_state("live");
  CHECK(disk.departure().empty());
  disk.machine.remove("sdb", "device/state");
  CHECK(disk.departure().empty());
}

TEST_CASE("a disk that is removed, replaced or without a medium is gone at once") {
  const auto departure = [](auto change) {
    Connected disk;
    change(disk);
    return disk.departure(1h);
  };
  const std::string unplugged = "it was unplugged, or has lost its power";
  CHECK(departure([](Connected& d) { std::filesystem::remove(d.numbers() / "8:16"); }) ==
        unplugged);
  CHECK(departure([](Connected& d) { d.machine.set("sdb", "diskseq", "8\n"); }) == unplugged);
  CHECK(departure([](Connected& d) { d.machine.set("sdb", "size", "0\n"); }) == unplugged);
  CHECK(departure([](Connected& d) { d.machine.remove("sdb", "size"); }) == unplugged);
  for (const char* state : {"cancel", "deleted", "deleting", "deleting (no IO)"}) {
    CAPTURE(state);
    CHECK(departure([&](Connected& d) { d.set_state(state); }) == unplugged);
  }
}

TEST_CASE("a disk that the kernel has given up is told as such") {
  for (const char* state : {"offline", "dead"}) {
    Connected disk;
    disk.set_state(state);
    CHECK(disk.departure() == "it does not answer any more, and the kernel has given it up (" +
                                  std::string(state) + ")");
  }
}

TEST_CASE("what is in between is waited for, and becomes one or the other") {
  for (const char* state : {"blocked", "transport-offline", "resetting", "connecting", "offline"}) {
    CAPTURE(state);
    Connected disk;
    disk.set_state(state);
    CHECK_FALSE(disk.departure(0ms).empty());
    const auto later = [&](auto change) {
      return std::jthread([change] {
        std::this_thread::sleep_for(150ms);
        change();
      });
    };
    {
      const std::jthread removed = later([&] { disk.machine.set("sdb", "size", "0\n"); });
      CHECK(disk.departure(1h) == "it was unplugged, or has lost its power");
    }
    disk.machine.set("sdb", "size", "7814037168\n");
    const std::jthread back = later([&] { disk.set_state("running"); });
    CHECK(disk.departure(600ms).empty());
  }
}

#include <catch2/catch.hpp>
#include <fstream>

#include "drive/inventory/disk_reports.h"
#include "tests/support/fake_machine.h"

using namespace driveprep;
using namespace driveprep::inventory;
using test::FakeDisk;
using test::FakeMachine;

namespace {

std::vector<std::string> uses(const DiskFacts& disk) {
  std::vector<std::string> texts;
  for (const Use& use : disk.uses.value()) {
    texts.push_back(use.device + ": " + use.what + (use.system ? " (system)" : ""));
  }
  return texts;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("an unused SATA disk is described by sysfs") {
  FakeMachine machine;
  machine.add_disk({});
  const DiskFacts disk = machine.look_at("sdb");
  CHECK(disk.node == "/dev/sdb");
  CHECK(disk.whole.value());
  CHECK(disk.disk.value());
  CHECK_FALSE(disk.hidden.value());
  CHECK(disk.handle.value() == DiskHandle{{8, 16}, 7});
  CHECK(disk.bytes.value() == 4'000'787'030'016);
  CHECK(disk.logical_sector.value() == 512);
  CHECK(disk.physical_sector.value() == 4096);
  CHECK(disk.misalignment.value() == 0);
  CHECK_FALSE(disk.read_only.value());
  CHECK(disk.zones.value() == Zones::kNone);
  CHECK(disk.uses.value().empty());
  CHECK(disk.reports.value().bus == Bus::kSata);
  CHECK(disk.bus_path == "pci-0000:00:1f.2 ata2");
  CHECK(disk.identity().serial == Statement{"WD-WX51A1234567", Source::kUnitSerial});
  CHECK(disk.identity().trust == Trust::kStrong);
  CHECK(disk.identity().model->value == "WDC WD40EFRX-68N");
}

TEST_CASE("mounts count for the disk, through partitions, mappings and arrays") {
  FakeMachine machine;
  machine.add_disk({});
  machine.add_partition("sdb", "sdb1", "8:17");
  machine.add_stack("md0", "9:0", {"sdb1"});
  machine.add_stack("dm-0", "253:0", {"md0"}, "vg-data");
  machine.mount("253:0", "/srv/with\\040blank", "ext4", "/dev/mapper/vg-data");
  CHECK(uses(machine.look_at("sdb")) == Texts{"dm-0: /srv/with blank", "sdb1: md0"});
  CHECK(uses(machine.look_at("sda")) == Texts{"sda1: / (system)"});
}

TEST_CASE("swap is a use of the system, by device, by mapping and as a file") {
  for (const char* swap : {"/dev/sdb2", "/dev/dm-0", "/dev/mapper/swap", "/srv/swapfile"}) {
    FakeMachine machine;
    machine.add_disk({});
    machine.add_partition("sdb", "sdb1", "8:17");
    machine.add_partition("sdb", "sdb2", "8:18");
    machine.add_stack("dm-0", "253:0", {"sdb2"}, "swap");
    machine.mount("8:17", "/srv");
    machine.swap_on(swap);
    CAPTURE(swap);
    const std::vector<Use> found = machine.look_at("sdb").uses.value();
    CHECK(found.at(0).kind == Use::Kind::kSwap);
    CHECK(found.at(0).system);
  }
}

TEST_CASE("file systems of several devices, and overlays, are followed") {
  FakeMachine machine;
  machine.add_disk({});
  machine.add_partition("sdb", "sdb1", "8:17");
  machine.mount("0:40", "/pool", "btrfs", "/dev/sda1", "rw,space_cache");
  const auto devices = machine.root() / "sys/fs/btrfs/6a1c/devices";
  std::filesystem::create_directories(devices / "sda1");
  std::filesystem::create_directories(devices / "sdb1");
  CHECK(uses(machine.look_at("sdb")) == Texts{"sdb1: /pool"});

  machine.mount("8:17", "/layers");
  machine.mount("0:50", "/merged", "overlay", "overlay",
                "rw,lowerdir=/usr:/layers/low,upperdir=/layers/up,workdir=/layers/work");
  const Texts found = uses(machine.look_at("sdb"));
  CHECK(std::ranges::find(found, "sdb1: /merged") != found.end());
}

TEST_CASE("a machine that runs from its initramfs has no disk below its root") {
  FakeMachine machine;
  machine.add_disk({});
  machine.mount("0:2", "/", "rootfs", "rootfs");
  CHECK(machine.look_at("sdb").uses.value().empty());
}

TEST_CASE("what only the host has mounted is in use, and what both see is told once") {
  FakeMachine machine;
  machine.add_disk({});
  machine.add_partition("sdb", "sdb1", "8:17");
  machine.mount("8:17", "/data");
  const auto host = [&](const std::string& lines) {
    std::filesystem::create_directories(machine.root() / "proc/1");
    std::ofstream(machine.root() / "proc/1/mountinfo") << lines;
    std::vector<std::string> points;
    const DiskFacts disk = machine.look_at("sdb");
    for (const Use& use : disk.uses.value()) points.push_back(use.what);
    return points;
  };
  using Points = std::vector<std::string>;
  // Lines of FakeMachine have the number 36.
  CHECK(host("36 1 8:17 / /chroot/data rw - ext4 /dev/sdb1 rw\n") == Points{"/data"});
  CHECK(host("99 1 8:16 / /srv rw - ext4 /dev/sdb rw\n") == Points{"/data", "/srv"});
  std::ofstream(machine.root() / "proc/1/mountinfo") << "what is this\n";
  CHECK_FALSE(machine.look_at("sdb").uses.known());
}

TEST_CASE("a use that cannot be told is not called unused") {
  const auto why_not = [](auto change) {
    FakeMachine machine;
    machine.add_disk({});
    machine.add_partition("sdb", "sdb1", "8:17");
    change(machine);
    const DiskFacts disk = machine.look_at("sdb");
    return disk.uses.known() ? std::string() : disk.uses.why_not();
  };
  CHECK(why_not([](FakeMachine&) {}).empty());
  CHECK_FALSE(why_not([](FakeMachine& m) { m.mount("8:99", "/gone"); }).empty());
  CHECK_FALSE(why_not([](FakeMachine& m) { m.mount("0:99", "/x", "newfs", "pool"); }).empty());
  CHECK_FALSE(why_not([](FakeMachine& m) { m.mount("0:99", "/x", "btrfs", "/dev/sda1"); }).empty());
  CHECK_FALSE(why_not([](FakeMachine& m) { m.remove("sdb", "holders"); }).empty());
  CHECK_FALSE(why_not([](FakeMachine& m) { m.remove("sdb1", "holders"); }).empty());
  for (const char* list : {"self/mountinfo", "swaps", "filesystems"}) {
    CAPTURE(list);
    CHECK_FALSE(why_not([&](FakeMachine& m) {
                  std::filesystem::remove(m.root() / "proc" / list);
                }).empty());
  }
}

TEST_CASE("a partition is one by its place, too, and a device without a number stops the look") {
  FakeMachine machine;
  machine.add_disk({});
  machine.add_partition("sdb", "sdb1", "8:17");
  machine.remove("sdb1", "partition");
  CHECK_FALSE(machine.look_at("sdb1").whole.value());
  machine.mount("8:17", "/mnt");
  CHECK(uses(machine.look_at("sdb")) == Texts{"sdb1: /mnt"});

  machine.remove("sdb1", "dev");
  CHECK(test::error_of([&] { look_at_machine(machine.sysfs()); }) == "busy/sysfs-unreadable");
}

TEST_CASE("what cannot be shipped is no disk") {
  for (const char* name : {"sr0", "fd0", "ram0", "zram0", "mmcblk0boot0", "md0", "dm-3"}) {
    FakeMachine machine;
    FakeDisk device;
    device.name = name;
    machine.add_disk(device);
    CAPTURE(name);
    CHECK_FALSE(machine.look_at(name).disk.value());
  }
  FakeMachine machine;
  machine.add_disk({});
  machine.set("sdb", "device/type", "5\n");
  CHECK_FALSE(machine.look_at("sdb").disk.value());
  machine.set("sdb", "device/type", "14\n");
  CHECK(machine.look_at("sdb").disk.value());
}

TEST_CASE("the bus is read off the place of the device") {
  const auto bus = [](const std::string& path) { return bus_of("/sys/devices/" + path); };
  CHECK(bus("pci0000:00/0000:00:1f.2/ata2/host1/target1:0:0/1:0:0:0/block/sdb") == Bus::kSata);
  CHECK(bus("pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdc") ==
        Bus::kUsb);
  CHECK(
      bus("pci0000:00/0000:03:00.0/host0/port-0:1/end_device-0:1/target0:0:1/0:0:1:0/block/sdd") ==
      Bus::kSas);
  CHECK(bus("pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1") == Bus::kNvme);
  CHECK(bus("pci0000:00/0000:00:05.0/virtio2/block/vda") == Bus::kVirtio);
  CHECK(bus("pci0000:00/0000:00:06.0/virtio3/host7/target7:0:0/7:0:0:0/block/sde") == Bus::kVirtio);
  CHECK(bus("virtual/block/loop3") == Bus::kLoop);
  CHECK(bus("pci0000:00/0000:04:00.0/host9/target9:2:0/9:2:0:0/block/sdf") == Bus::kOther);
}

TEST_CASE("a USB disk tells what its enclosure says, and that it is the enclosure") {
  FakeMachine machine;
  FakeDisk disk;
  disk.port = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0";
  disk.serial = "DD5641988CAFE";
  machine.add_disk(disk);
  const auto enclosure = machine.root() / "sys/devices/pci0000:00/0000:00:14.0/usb2/2-1";
  machine.set("sdb", "../../../../../../idVendor", "152d\n");
  machine.set("sdb", "../../../../../../serial", "0123456789ABCDEF\n");
  machine.set("sdb", "../../../../../../product", "USB to SATA bridge\n");
  REQUIRE(std::filesystem::exists(enclosure / "idVendor"));
  const DiskFacts facts = machine.look_at("sdb");
  CHECK(facts.bus_path == "pci-0000:00:14.0 usb-2-1");
  CHECK(facts.reports.value().bus == Bus::kUsb);
  CHECK(facts.identity().trust == Trust::kWeak);
  CHECK(facts.identity().serial == Statement{"DD5641988CAFE", Source::kUnitSerial});
}

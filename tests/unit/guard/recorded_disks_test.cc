// The facts of real kernels, judged: disks on each bus, in use in each way. Which disk is which
// stands at the head of each tree.
#include <catch2/catch.hpp>
#include <map>

#include "drive/guard/survey.h"
#include "tests/support/recorded_machine.h"

using namespace driveprep;
using namespace driveprep::guard;
using inventory::Bus;
using inventory::Statement;
using inventory::Trust;

namespace {

using Source = inventory::Source;
using Codes = std::vector<std::string>;

Codes codes(const DiskCase& disk) {
  Consent consent;
  consent.format = true;
  consent.confirmed_id = disk.request.drive_id;
  Codes result;
  for (const Reason& reason : judge(disk, consent).reasons) result.push_back(reason.code);
  return result;
}

const std::map<std::string, Codes> kAllBuses = {
    {"dm-0", {"disk-not-a-drive"}},
    {"loop0", {}},
    {"loop1", {"disk-read-only", "disk-4kn"}},
    {"md0", {"disk-not-a-drive"}},
    {"nvme0n1", {"disk-4kn"}},
    {"nvme1n1", {}},
    {"sda", {}},
    {"sdb", {"disk-read-only"}},
    {"sdc", {"disk-serial-duplicate"}},
    {"sdd", {"disk-held"}},
    {"sde", {"disk-held"}},
    {"sdf", {"disk-4kn"}},
    {"sdg", {"disk-mounted", "disk-held"}},
    {"sdh", {"disk-system", "disk-system", "disk-system"}},
    {"sdi", {}},
    {"sdj", {}},
    {"sdk", {}},
    {"sdl", {}},
    {"sdm", {"disk-serial-weak"}},
    {"sdn", {"disk-serial-weak", "disk-4kn"}},
    {"sdo", {"disk-serial-duplicate", "disk-serial-weak"}},
    {"sdp", {"disk-mounted", "disk-mounted", "disk-serial-weak"}},
    {"sdq", {"disk-serial-weak"}},
    {"sdr", {"disk-serial-weak", "disk-removable"}},
    {"sds", {"disk-serial-weak", "disk-too-small", "disk-4kn"}},
    {"sr0", {"disk-not-a-drive"}},
    {"vda", {}},
    {"zram0", {"disk-not-a-drive"}},
};

}  // namespace

TEST_CASE("each disk of a machine with all buses has its reasons") {
  const test::RecordedMachine machine("all-buses-6.12.95.json");
  std::map<std::string, Codes> found;
  OwnOpener opener;
  for (const SurveyedDisk& each : survey(Machine(opener, machine.sysfs()))) {
    found[each.disk.disk.name] = codes(machine.look_at(each.disk.disk.name));
  }
  for (const auto& [name, expected] : kAllBuses) {
    CAPTURE(name);
    CHECK(found[name] == expected);
  }
  CHECK(found.size() == kAllBuses.size());
}

TEST_CASE("a staging machine with two new drives offers these and not its own") {
  const test::RecordedMachine machine("plain-6.12.95.json");
  CHECK(codes(machine.look_at("sda")).empty());
  CHECK(codes(machine.look_at("sdb")).empty());
  CHECK(codes(machine.look_at("sdc")).front() == "disk-system");
}

TEST_CASE("nothing is ready that could not be opened") {
  const test::RecordedMachine machine("all-buses-6.12.95.json");
  OwnOpener opener;
  for (const SurveyedDisk& each : survey(Machine(opener, machine.sysfs()))) {
    CAPTURE(each.disk.disk.name);
    CHECK_FALSE(each.ready());
  }
}

TEST_CASE("the pages of emulated drives tell what they were made with") {
  const test::RecordedMachine machine("all-buses-6.12.95.json");
  const auto identity = [&](const char* name) { return machine.look_at(name).disk.identity(); };
  CHECK(identity("sdj").serial == Statement{"WD-WX11D0000001", Source::kAtaIdentify});
  CHECK(identity("sdj").trust == Trust::kStrong);
  CHECK(identity("nvme1n1").serial == Statement{"S5GXNX0T000001", Source::kNvme});
  CHECK(identity("sdf").serial == Statement{"ZC100000000000000001", Source::kUnitSerial});
  CHECK(identity("sdm").trust == Trust::kWeak);
  CHECK(identity("sdr").trust == Trust::kNone);
  CHECK(machine.look_at("sdj").disk.reports.value().own_geometry->physical_sector == 4096);
  CHECK(machine.look_at("sdk").disk.opened.health.value().has_value());
  CHECK(machine.look_at("sdq").disk.reports.value().bus == Bus::kUsb);
}

// Of each file that was recorded of a disk, and of the lists of what is in use.
TEST_CASE("a recorded file that is taken away never turns a refusal into a permission") {
  const test::RecordedMachine machine("plain-6.12.95.json");
  const std::filesystem::path system =
      std::filesystem::canonical(machine.root() / "sys/class/block/sdc");
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(system)) {
    if (entry.is_regular_file() && !entry.is_symlink()) files.push_back(entry.path());
  }
  for (const char* list : {"self/mountinfo", "swaps", "filesystems"}) {
    files.push_back(machine.root() / "proc" / list);
  }
  REQUIRE(files.size() > 30);
  for (const std::filesystem::path& file : files) {
    CAPTURE(file.string());
    const std::filesystem::path kept = machine.root() / "kept";
    std::filesystem::rename(file, kept);
    bool allowed = false;
    try {
      allowed = codes(machine.look_at("sdc")).empty();
    } catch (const Error& error) {
      // Without its number it is no device; the look at the machine says so.
      CHECK(error.code() == "sysfs-unreadable");
    }
    CHECK_FALSE(allowed);
    std::filesystem::rename(kept, file);
  }
}

// Of what the drives themselves answered: not recorded, refused, and lost on the way.
TEST_CASE("an answer of a drive that is taken away never turns a refusal into a permission") {
  test::RecordedMachine machine("all-buses-6.12.95.json");
  int silent = 0;
  for (const auto& [name, expected] : kAllBuses) {
    nlohmann::json& answers = machine.answers_of(name);
    if (!answers.contains("sg") || answers.at("sg").contains("error")) continue;
    const nlohmann::json whole = answers;
    const bool takes_ata = inventory::takes_ata_commands(machine.look_at(name).disk);
    for (const auto& [command, answer] : whole.at("sg").items()) {
      CAPTURE(name, command);
      answers.at("sg").erase(command);
      if (!expected.empty()) CHECK_FALSE(codes(machine.look_at(name)).empty());
      answers = whole;
      answers.at("sg").at(command)["host"] = 3;  // a time-out
      const Codes found = codes(machine.look_at(name));
      if (!expected.empty()) CHECK_FALSE(found.empty());
      if (command == "ATA IDENTIFY DEVICE" && takes_ata && expected != Codes{"disk-not-a-drive"}) {
        ++silent;
        CHECK(std::ranges::count(found, "disk-fact-unreadable") > 0);
      }
      answers = whole;
    }
  }
  CHECK(silent > 5);
}

// The facts of real kernels, judged: disks on each bus, in use in each way. Which disk is which
// stands at the head of each tree.
#include <catch2/catch.hpp>
#include <map>

#include "base/encoding.h"
#include "drive/guard/survey.h"
#include "drive/guard/twins.h"
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

TEST_CASE("a disk that only its enclosure names is accepted by the name on its label") {
  const test::RecordedMachine machine("all-buses-6.12.95.json");
  OwnOpener opener;
  for (const SurveyedDisk& each : survey(Machine(opener, machine.sysfs()))) {
    if (each.disk.disk.name != "sdm") continue;
    const auto weak = std::ranges::find(each.verdict.reasons, "disk-serial-weak", &Reason::code);
    REQUIRE(weak != each.verdict.reasons.end());
    CHECK(weak->remedy.find("--accept disk-serial-weak:DRIVEID") != std::string::npos);
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

namespace {

// Takes a file away as long as it lives.
class TakenAway {
 public:
  explicit TakenAway(std::filesystem::path file)
      : file_(std::move(file)), kept_(file_.string() + ".kept") {
    if (std::filesystem::is_symlink(file_)) {  // under another name it would be another holder
      target_ = std::filesystem::read_symlink(file_);
      std::filesystem::remove(file_);
    } else {
      std::filesystem::rename(file_, kept_);
    }
  }
  ~TakenAway() {
    if (target_.empty()) {
      std::filesystem::rename(kept_, file_);
    } else {
      std::filesystem::create_symlink(target_, file_);
    }
  }
  TakenAway(const TakenAway&) = delete;
  TakenAway& operator=(const TakenAway&) = delete;

 private:
  std::filesystem::path file_;
  std::filesystem::path kept_;
  std::filesystem::path target_;  // of a link
};

// The attributes of the disk, of what is on the way to it from its controller, and the lists of
// what is in use.
std::vector<std::filesystem::path> files_about(const test::RecordedMachine& machine,
                                               const std::string& disk) {
  std::vector<std::filesystem::path> files;
  const auto add = [&](const std::filesystem::directory_entry& entry) {
    const std::string directory = entry.path().parent_path().filename().string();
    const bool link = entry.is_symlink() && (directory == "holders" || directory == "slaves");
    if (link || (entry.is_regular_file() && !entry.is_symlink())) files.push_back(entry.path());
  };
  std::filesystem::path at = std::filesystem::canonical(machine.root() / "sys/class/block" / disk);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(at)) add(entry);
  const std::filesystem::path devices = std::filesystem::canonical(machine.root() / "sys/devices");
  for (at = at.parent_path(); at != devices; at = at.parent_path()) {
    for (const auto& entry : std::filesystem::directory_iterator(at)) add(entry);
  }
  for (const char* list : {"self/mountinfo", "swaps", "filesystems"}) {
    files.push_back(machine.root() / "proc" / list);
  }
  return files;
}

bool is_allowed(const test::RecordedMachine& machine, const std::string& disk) {
  try {
    for (const DiskCase& each : machine.look()) {
      if (each.disk.name == disk) return codes(each).empty();
    }
    return false;  // without its number it is no device of the machine
  } catch (const Error& error) {
    CHECK(error.code() == "sysfs-unreadable");
    return false;
  }
}

// A page of SMART with the sum of its bytes made zero again.
std::string sealed(Bytes page) {
  unsigned sum = 0;
  for (std::size_t at = 0; at + 1 < page.size(); ++at) sum += std::to_integer<unsigned>(page[at]);
  page.back() = static_cast<std::byte>(0x100 - sum % 0x100);
  return hex_lower(page);
}

// 30 entries of 12 bytes from byte 2: number, flags (2), value, worst, raw (6).
std::string with_reallocated_sectors(const std::string& smart) {
  Bytes page = from_hex(smart).value();
  for (std::size_t at = 2; at < 362; at += 12) {
    const auto id = std::to_integer<unsigned>(page[at]);
    if (id != 5 && id != 0) continue;
    page[at] = std::byte{5};
    page[at + 5] = std::byte{8};
    break;
  }
  return sealed(std::move(page));
}

void report_bad_sectors(nlohmann::json& commands) {
  nlohmann::json& smart = commands.at("ATA SMART READ DATA").at("data");
  smart = with_reallocated_sectors(smart.get<std::string>());
}

// By its own word, and by the attribute that has reached its threshold.
void report_failing(nlohmann::json& commands) {
  Bytes sense =
      from_hex(commands.at("ATA SMART RETURN STATUS").at("sense").get<std::string>()).value();
  REQUIRE(sense.size() > 19);
  sense[17] = std::byte{0xF4};
  sense[19] = std::byte{0x2C};
  commands.at("ATA SMART RETURN STATUS").at("sense") = hex_lower(sense);
  Bytes data = from_hex(commands.at("ATA SMART READ DATA").at("data").get<std::string>()).value();
  Bytes thresholds =
      from_hex(commands.at("ATA SMART READ THRESHOLDS").at("data").get<std::string>()).value();
  data[2] = thresholds[2] = std::byte{1};
  data[3] = std::byte{1};  // it predicts a failure
  data[5] = std::byte{10};
  thresholds[3] = std::byte{50};
  commands.at("ATA SMART READ DATA").at("data") = sealed(std::move(data));
  commands.at("ATA SMART READ THRESHOLDS").at("data") = sealed(std::move(thresholds));
}

const std::map<std::string, void (*)(nlohmann::json&)> kAilments = {
    {"disk-bad-sectors", report_bad_sectors}, {"disk-failing", report_failing}};

// One answer refused, lost on the way, and cut off.
std::vector<nlohmann::json> spoiled(const nlohmann::json& commands, const std::string& command) {
  std::vector<nlohmann::json> all(3, commands);
  all[0].erase(command);
  all[1].at(command)["host"] = 3;  // a time-out
  const std::string data = commands.at(command).at("data").get<std::string>();
  all[2].at(command)["data"] = data.substr(0, data.size() / 4 * 2);
  return all;
}

}  // namespace

// Two disks with one serial number are told apart by nothing else: what the other one says is a
// fact about both of them, and is looked at below.
TEST_CASE("a recorded file that is taken away never turns a refusal into a permission") {
  int taken = 0;
  const auto check = [&](const test::RecordedMachine& machine, const std::string& disk) {
    for (const std::filesystem::path& file : files_about(machine, disk)) {
      CAPTURE(disk, file.string());
      const TakenAway away(file);
      CHECK_FALSE(is_allowed(machine, disk));
      ++taken;
    }
  };
  const test::RecordedMachine plain("plain-6.12.95.json");
  check(plain, "sdc");
  const test::RecordedMachine all("all-buses-6.12.95.json");
  for (const auto& [disk, reasons] : kAllBuses) {
    if (!reasons.empty()) check(all, disk);
  }
  CHECK(taken > 1000);
}

// Of what the drives themselves answered: not recorded, refused, and lost on the way.
TEST_CASE("an answer of a drive that is taken away never turns a refusal into a permission") {
  test::RecordedMachine machine("all-buses-6.12.95.json");
  int silent = 0;
  for (const auto& [name, expected] : kAllBuses) {
    nlohmann::json& answers = machine.answers_of(name);
    if (!answers.contains("sg") || answers.at("sg").contains("error")) continue;
    const nlohmann::json whole = answers.at("sg");
    const bool takes_ata = inventory::takes_ata_commands(machine.look_at(name).disk);
    for (const auto& [command, answer] : whole.items()) {
      const bool heard =
          command == "ATA IDENTIFY DEVICE" && takes_ata && expected != Codes{"disk-not-a-drive"};
      for (int how = 0; const nlohmann::json& each : spoiled(whole, command)) {
        CAPTURE(name, command, how);
        answers.at("sg") = each;
        const Codes found = codes(machine.look_at(name));
        if (!expected.empty()) CHECK_FALSE(found.empty());
        if (heard && how++ == 1) {
          ++silent;
          CHECK(std::ranges::count(found, "disk-fact-unreadable") > 0);
        }
      }
    }
    answers.at("sg") = whole;
  }
  CHECK(silent > 5);
}

TEST_CASE("whatever an unhealthy drive keeps to itself, it is not taken for a healthy one") {
  test::RecordedMachine machine("all-buses-6.12.95.json");
  int unhealthy = 0;
  for (const auto& [name, expected] : kAllBuses) {
    const auto health = machine.look_at(name).disk.opened.health;
    if (!health.known() || !health.value()) continue;
    nlohmann::json& commands = machine.answers_of(name).at("sg");
    const nlohmann::json well = commands;
    for (const auto& [reason, spoil] : kAilments) {
      commands = well;
      spoil(commands);
      CAPTURE(name, reason);
      CHECK(std::ranges::count(codes(machine.look_at(name)), reason) == 1);
      ++unhealthy;
      const nlohmann::json ill = commands;
      for (const auto& [command, answer] : ill.items()) {
        for (const nlohmann::json& each : spoiled(ill, command)) {
          CAPTURE(command);
          commands = each;
          CHECK_FALSE(is_allowed(machine, name));
        }
      }
    }
    commands = well;
  }
  CHECK(unhealthy > 8);
}

TEST_CASE("a disk that could not be asked may be the twin of any other") {
  test::RecordedMachine machine("all-buses-6.12.95.json");
  std::vector<DiskCase> disks = machine.look();
  std::vector<inventory::DiskFacts> facts;
  for (const DiskCase& each : disks) facts.push_back(each.disk);
  const auto named = [&](const char* name) -> inventory::DiskFacts& {
    return *std::ranges::find(facts, name, &inventory::DiskFacts::name);
  };
  const auto twins = [&](const char* name) { return twins_of(named(name), facts); };
  CHECK(twins("sdc").value() == std::vector<std::string>{"/dev/sdo"});
  CHECK(twins("sdo").value() == std::vector<std::string>{"/dev/sdc"});
  REQUIRE(twins("sdj").value().empty());
  named("sdk").opened = inventory::not_opened("it hangs");  // on SATA: the kernel has asked it
  CHECK(twins("sdj").known());
  named("sdq").opened = inventory::not_opened("it hangs");  // on USB
  CHECK_FALSE(twins("sdj").known());
  CHECK(twins("sdj").why_not().find("/dev/sdq") != std::string::npos);
  CHECK(twins("sdc").value() == std::vector<std::string>{"/dev/sdo"});  // one is known of
  named("sdq").disk = false;
  CHECK(twins("sdj").known());
  const inventory::IdentityReports told = named("sdk").reports.value();
  named("sdk").reports = inventory::Fact<inventory::IdentityReports>::unreadable("it is gone");
  CHECK_FALSE(twins("sdj").known());
  named("sdk").kernel_reports = told;  // it only does not answer any more
  CHECK(twins("sdj").known());
}

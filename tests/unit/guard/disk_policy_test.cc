#include "drive/guard/disk_policy.h"

#include <catch2/catch.hpp>
#include <functional>

#include "tests/support/fake_machine.h"

using namespace driveprep;
using namespace driveprep::guard;
using namespace driveprep::inventory;
using test::FakeDisk;
using test::FakeMachine;

namespace {

constexpr std::uint64_t kBytes = 4'000'787'030'016;
constexpr const char* kSerial = "WD-WX51A1234567";

// The drive's own answer to IDENTIFY DEVICE.
void identify(DiskCase& disk, const std::string& serial = kSerial) {
  AtaIdentify drive;
  drive.serial = serial;
  drive.logical_sector = disk.disk.logical_sector.value();
  drive.sectors = disk.disk.bytes.value() / drive.logical_sector;
  IdentityReports reports = disk.disk.reports.value();
  add_ata_statements(drive, Source::kAtaIdentify, reports);
  reports.own_geometry->bytes = disk.disk.bytes.value();
  disk.disk.reports = reports;
}

// What a machine of files cannot tell: the answers of an opened disk that is empty and well.
void add_opened(DiskCase& disk) {
  OpenedFacts& opened = disk.disk.opened;
  opened.handle = disk.disk.handle;
  opened.bytes = disk.disk.bytes;
  opened.logical_sector = disk.disk.logical_sector;
  opened.read_only = false;
  opened.signatures = Signatures();
  Health health;
  health.reallocated = 0;
  health.celsius = 31;
  opened.health = std::optional(health);
  disk.contents = Contents();
  disk.disk_guid = std::string();
  disk.same_serial = std::vector<std::string>();
  disk.sources = std::vector<std::string>();
  disk.belongings = std::vector<std::string>();
  disk.finished_for = std::string();
}

DiskCase case_of(const FakeMachine& machine, const std::string& name = "sdb") {
  DiskCase disk;
  disk.request.written = std::string("serial:") + kSerial;
  disk.request.drive_id = kSerial;
  disk.disk = machine.look_at(name);
  if (disk.disk.reports.known() && disk.disk.reports.value().bus == Bus::kSata &&
      disk.disk.bytes.known() && disk.disk.logical_sector.known()) {
    identify(disk);
  }
  add_opened(disk);
  return disk;
}

DiskCase good() {
  FakeMachine machine;
  machine.add_disk({});
  return case_of(machine);
}

Consent confirmed(const std::string& drive_id = kSerial) {
  Consent consent;
  consent.format = true;
  consent.confirmed_id = drive_id;
  return consent;
}

bool is_allowed(const DiskCase& disk) {
  return judge(disk, confirmed(disk.request.drive_id)).allowed();
}

std::vector<std::string> codes(const DiskCase& disk, const Consent& consent) {
  std::vector<std::string> result;
  for (const Reason& reason : judge(disk, consent).reasons) result.push_back(reason.code);
  return result;
}

std::vector<std::string> codes(const DiskCase& disk) {
  return codes(disk, confirmed(disk.request.drive_id));
}

using Codes = std::vector<std::string>;

struct Row {
  std::string code;
  std::function<void(FakeMachine&)> machine;
  std::function<void(DiskCase&)> disk;
};

Health bad_sectors() {
  Health health;
  health.pending = 8;
  return health;
}

Health failing() {
  Health health;
  health.failing = true;
  return health;
}

Signatures member() {
  Signatures signatures;
  signatures.part_of.emplace_back("LVM2_member");
  return signatures;
}

Geometry altered() { return {kBytes - 8 * 512, 512, 4096}; }

// The same disk in an enclosure.
DiskCase behind_a_bridge(const std::string& told = kSerial) {
  FakeMachine machine;
  FakeDisk usb;
  usb.port = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0";
  usb.serial = told;
  machine.add_disk(usb);
  return case_of(machine);
}

void change_reports(DiskCase& disk, const std::function<void(IdentityReports&)>& change) {
  IdentityReports reports = disk.disk.reports.value();
  change(reports);
  disk.disk.reports = reports;
}

// Behind a SAS controller: a SATA drive when that says so.
DiskCase on_sas(const std::string& vendor, const std::string& told = kSerial) {
  FakeMachine machine;
  FakeDisk sas;
  sas.port = "pci0000:00/0000:00:10.0/host2/port-2:0/end_device-2:0/target2:0:0/2:0:0:0";
  sas.serial = told;
  machine.add_disk(sas);
  machine.set("sdb", "device/vendor", vendor + "\n");
  return case_of(machine);
}

void drop_statements(DiskCase& disk, Source source) {
  change_reports(disk, [&](IdentityReports& reports) {
    std::erase_if(reports.serials, [&](const Statement& each) { return each.source == source; });
  });
}

// What kernel or bridge have kept of an earlier IDENTIFY.
void keep_page(DiskCase& disk, const std::string& serial) {
  change_reports(disk, [&](IdentityReports& reports) {
    reports.serials.push_back({serial, Source::kAtaPage});
  });
}

// One way or more to each reason of the policy.
const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
      {"disk-not-whole", {}, [](auto& d) { d.disk.whole = false; }},
      {"disk-not-whole", [](auto& m) { m.remove("sdb", "queue"); }, {}},
      {"disk-not-a-drive", [](auto& m) { m.set("sdb", "device/type", "5\n"); }, {}},
      {"disk-hidden", [](auto& m) { m.set("sdb", "hidden", "1\n"); }, {}},
      {"disk-system", [](auto& m) { m.mount("8:16", "/boot/efi"); }, {}},
      {"disk-system", [](auto& m) { m.swap_on("/dev/sdb"); }, {}},
      {"disk-holds-source", {}, [](auto& d) { d.sources = Codes{"source /data"}; }},
      {"disk-holds-job", {}, [](auto& d) { d.belongings = Codes{"job directory /jobs/a"}; }},
      {"disk-mounted", [](auto& m) { m.mount("8:16", "/mnt"); }, {}},
      {"disk-held", [](auto& m) { m.add_stack("md0", "9:0", {"sdb"}); }, {}},
      {"disk-locked", {}, [](auto& d) { d.disk.opened.locked = true; }},
      {"disk-member", {}, [](auto& d) { d.disk.opened.signatures = member(); }},
      {"disk-read-only", [](auto& m) { m.set("sdb", "ro", "1\n"); }, {}},
      {"disk-read-only", {}, [](auto& d) { d.disk.opened.read_only = true; }},
      {"disk-zoned", [](auto& m) { m.set("sdb", "queue/zoned", "host-managed\n"); }, {}},
      {"disk-host-aware", [](auto& m) { m.set("sdb", "queue/zoned", "host-aware\n"); }, {}},
      {"disk-no-medium", [](auto& m) { m.set("sdb", "size", "0\n"); }, {}},
      {"disk-removable", [](auto& m) { m.set("sdb", "removable", "1\n"); }, {}},
      {"disk-too-small", [](auto& m) { m.set("sdb", "size", "2048\n"); }, {}},
      {"disk-too-large", [](auto& m) { m.set("sdb", "size", "31500000000\n"); }, {}},
      {"disk-sector-size", [](auto& m) { m.set("sdb", "queue/logical_block_size", "520\n"); }, {}},
      {"disk-4kn", [](auto& m) { m.set("sdb", "queue/logical_block_size", "4096\n"); }, {}},
      {"disk-misaligned", [](auto& m) { m.set("sdb", "alignment_offset", "3584\n"); }, {}},
      {"disk-misaligned", [](auto& m) { m.set("sdb", "alignment_offset", "-1\n"); }, {}},
      {"disk-password-locked",
       {},
       [](auto& d) { change_reports(d, [](auto& r) { r.password_locked = true; }); }},
      {"disk-geometry-altered",
       {},
       [](auto& d) { change_reports(d, [](auto& r) { r.own_geometry = altered(); }); }},
      {"disk-failing", {}, [](auto& d) { d.disk.opened.health = std::optional(failing()); }},
      {"disk-bad-sectors",
       {},
       [](auto& d) { d.disk.opened.health = std::optional(bad_sectors()); }},
      {"disk-serial-contradictory",
       [](auto& m) { m.set("sdb", "device/vpd_pg80", test::unit_serial_page("ZA1B2C3D")); },
       {}},
      {"disk-serial-contradictory",
       {},
       [](auto& d) {
         d = behind_a_bridge();
         identify(d, "ZA1B2C3D");
         keep_page(d, kSerial);
       }},
      {"disk-serial-contradictory",
       {},
       [](auto& d) {
         d = on_sas("ATA", "ZA1B2C3D");
         identify(d);
       }},
      {"disk-serial-duplicate", {}, [](auto& d) { d.same_serial = Codes{"/dev/sdc"}; }},
      {"disk-serial-weak", {}, [](auto& d) { d = behind_a_bridge(); }},
      {"disk-serial-weak", {}, [](auto& d) { d = behind_a_bridge("000000000000"); }},
      {"disk-not-in-job",
       {},
       [](auto& d) {
         d = behind_a_bridge("ZA1B2C3D");
         identify(d, "ZA1B2C3D");
       }},
      {"disk-not-in-job", {}, [](auto& d) { d.request.drive_id = "ZA1B2C3D"; }},
      // What has to be known of a drive that speaks ATA.
      {"disk-fact-unreadable", [](auto& m) { m.remove("sdb", "device/vpd_pg80"); }, {}},
      {"disk-fact-unreadable",
       {},
       [](auto& d) { change_reports(d, [](auto& r) { r.own_geometry.reset(); }); }},
      {"disk-fact-unreadable", {}, [](auto& d) { drop_statements(d, Source::kAtaIdentify); }},
      {"disk-fact-unreadable",
       {},
       [](auto& d) {
         d = behind_a_bridge();
         keep_page(d, kSerial);
       }},
      {"disk-fact-unreadable", {}, [](auto& d) { d = on_sas("ATA"); }},
      {"disk-fact-unreadable", {}, [](auto& d) { d = on_sas(""); }},
      {"disk-fact-unreadable",
       {},
       [](auto& d) {
         Health health;
         health.self_assessed = false;
         d.disk.opened.health = std::optional(health);
       }},
      {"disk-already-prepared", {}, [](auto& d) { d.finished_for = std::string("job-of-june"); }},
  };
  return all;
}

DiskCase case_of(const Row& row) {
  FakeMachine machine;
  machine.add_disk({});
  if (row.machine) row.machine(machine);
  DiskCase disk = case_of(machine);
  if (row.disk) row.disk(disk);
  return disk;
}

// Takes one fact away from a case; how many there are is found by trying. What tells how a disk is
// judged comes first, then what only describes it.
bool forget(DiskCase& disk, int which, bool described = false) {
  int at = 0;
  const auto drop = [&](auto& fact) {
    using F = std::remove_reference_t<decltype(fact)>;
    if (at++ == which) fact = F::unreadable("it was taken away");
  };
  DiskFacts& facts = disk.disk;
  drop(facts.whole);
  drop(facts.disk);
  drop(facts.hidden);
  drop(facts.handle);
  drop(facts.removable_medium);
  drop(facts.bytes);
  drop(facts.logical_sector);
  drop(facts.physical_sector);
  drop(facts.misalignment);
  drop(facts.read_only);
  drop(facts.zones);
  drop(facts.uses);
  drop(facts.reports);
  drop(facts.opened.handle);
  drop(facts.opened.bytes);
  drop(facts.opened.logical_sector);
  drop(facts.opened.read_only);
  drop(facts.opened.signatures);
  drop(facts.opened.health);
  drop(disk.contents);
  drop(disk.same_serial);
  drop(disk.sources);
  drop(disk.belongings);
  drop(disk.finished_for);
  drop(disk.disk_guid);
  drop(facts.backing_file);
  if (facts.reports.known()) {
    change_reports(disk, [&](IdentityReports& reports) {
      for (std::size_t index = 0; index < reports.serials.size(); ++index) {
        if (at++ == which) {
          reports.serials.erase(reports.serials.begin() + static_cast<std::ptrdiff_t>(index));
          break;
        }
      }
      if (reports.own_geometry && at++ == which) reports.own_geometry.reset();
    });
  }
  if (!described) return which < at;
  drop(facts.rotational);
  drop(facts.write_cache);
  drop(facts.largest_discard);
  if (at++ == which) facts.links.clear();
  if (at++ == which) facts.bus_path.clear();
  return which < at;
}

}  // namespace

TEST_CASE(
    "an empty, unused, healthy disk that the job names and the operator confirms is allowed") {
  CHECK(codes(good()).empty());
  CHECK(warnings_of(good()).empty());
  CHECK(identity_text(good()) == "disk:WD-WX51A1234567:4000787030016:512");
}

TEST_CASE("behind a SAS controller a SATA drive is asked itself, and a SAS drive has told") {
  CHECK(codes(on_sas("SEAGATE")).empty());
  DiskCase sata = on_sas("ATA");
  identify(sata);
  CHECK(codes(sata).empty());
}

TEST_CASE("a drive of 16 TB is not too large") {
  FakeMachine machine;
  machine.add_disk({.bytes = 16'000'900'661'248});
  CHECK(codes(case_of(machine)).empty());
}

TEST_CASE("each reason is reached, alone") {
  for (const Row& row : rows()) {
    CAPTURE(row.code);
    const DiskCase disk = case_of(row);
    const Codes found = codes(disk);
    REQUIRE_FALSE(found.empty());
    for (const std::string& code : found) CHECK(code == row.code);
    for (const Reason& reason : judge(disk, confirmed(disk.request.drive_id)).reasons) {
      CHECK_FALSE(reason.message.empty());
      CHECK_FALSE(reason.remedy.empty());
    }
  }
}

TEST_CASE("a failing disk is wiped, and nothing else is done with it") {
  DiskCase disk = good();
  disk.disk.opened.health = std::optional(failing());
  CHECK(codes(disk) == Codes{"disk-failing"});
  disk.request.wiping = true;
  CHECK(codes(disk).empty());
}

TEST_CASE("what speaks against keeping something on a disk does not keep it from being wiped") {
  const std::set<std::string> no_matter = {"disk-failing", "disk-too-small", "disk-host-aware",
                                           "disk-4kn"};
  for (const Row& row : rows()) {
    DiskCase disk = case_of(row);
    disk.request.wiping = true;
    disk.request.import_job = false;
    const bool of_health = row.code == "disk-fact-unreadable" && disk.disk.opened.health.known() &&
                           !disk.disk.opened.health.value()->self_assessed;
    CAPTURE(row.code);
    CHECK(is_allowed(disk) == (of_health || no_matter.contains(row.code)));
    // A test, which keeps nothing either, is to tell whether the disk is fit for a job.
    disk.request.wiping = false;
    CHECK(is_allowed(disk) == (row.code == "disk-4kn"));
    disk.request.import_job = true;
    CHECK_FALSE(is_allowed(disk));
  }
  DiskCase silent = good();
  silent.disk.opened.health = Fact<std::optional<Health>>::unreadable("it does not answer");
  CHECK_FALSE(is_allowed(silent));
  silent.request.wiping = true;
  CHECK(is_allowed(silent));
  CHECK(warnings_of(silent).size() == 1);
}

TEST_CASE("nobody is told to unmount the sources or the job") {
  for (const char* code : {"disk-holds-source", "disk-holds-job"}) {
    FakeMachine machine;
    machine.add_disk({});
    machine.mount("8:16", "/data");
    DiskCase disk = case_of(machine);
    (std::string_view(code) == "disk-holds-job" ? disk.belongings : disk.sources) = Codes{"/data"};
    CHECK(codes(disk) == Codes{code, "disk-mounted"});
  }
}

TEST_CASE("what can be accepted is accepted by its own name, and nothing else with it") {
  std::set<std::string> not_met(kAcceptable.begin(), kAcceptable.end());
  for (const Row& row : rows()) {
    CAPTURE(row.code);
    DiskCase disk = case_of(row);
    for (const Row& other : rows()) {
      if (other.code == row.code) continue;
      disk.request.accepted = {other.code};
      CHECK_FALSE(is_allowed(disk));
    }
    disk.request.accepted = {row.code};
    CHECK(is_allowed(disk) == is_acceptable(row.code));
    for (const Reason& reason : judge(disk, confirmed(disk.request.drive_id)).reasons) {
      CHECK(reason.remedy.find("--accept") == std::string::npos);
    }
    not_met.erase(row.code);
  }
  CHECK(not_met.empty());
}

TEST_CASE("a fact that is taken away from a good disk refuses it") {
  const DiskCase whole = good();
  int taken = 0;
  for (;; ++taken) {
    DiskCase disk = whole;
    if (!forget(disk, taken)) break;
    CAPTURE(taken);
    CHECK(codes(disk) == Codes{"disk-fact-unreadable"});
  }
  CHECK(taken > 28);
}

TEST_CASE("a fact that is taken away never turns a refusal into a permission") {
  for (const Row& row : rows()) {
    const DiskCase whole = case_of(row);
    // On a SATA port whichever of the two words it is that the job means. In an enclosure the drive
    // itself is believed; what the bridge has kept of it need not be there, and cannot be missed.
    std::vector<std::string> meant = {whole.request.drive_id};
    if (row.code == "disk-serial-contradictory" && row.machine) meant.push_back("ZA1B2C3D");
    for (const std::string& drive_id : meant) {
      for (int taken = 0;; ++taken) {
        DiskCase disk = whole;
        disk.request.drive_id = drive_id;
        if (!forget(disk, taken, true)) break;
        CAPTURE(row.code, drive_id, taken);
        CHECK_FALSE(is_allowed(disk));
      }
    }
  }
}

// The facts of one level below: files of sysfs and /proc.
TEST_CASE("a file that is taken away never turns a refusal into a permission") {
  for (const Row& row : rows()) {
    if (!row.machine) continue;
    FakeMachine machine;
    machine.add_disk({});
    row.machine(machine);
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(machine.root())) {
      const std::string directory = entry.path().parent_path().filename().string();
      const bool link = entry.is_symlink() && (directory == "holders" || directory == "slaves");
      if (link || (entry.is_regular_file() && !entry.is_symlink())) files.push_back(entry.path());
    }
    for (const std::filesystem::path& file : files) {
      // It tells that there is a disk, and the case is about a disk that is there.
      if (file == machine.directory("sdb") / "dev") continue;
      CAPTURE(row.code, file.string());
      const std::filesystem::path kept = machine.root() / "kept";
      std::filesystem::rename(file, kept);
      bool allowed = false;
      try {
        allowed = is_allowed(case_of(machine));
      } catch (const Error& error) {
        CHECK(error.code() == "sysfs-unreadable");
      }
      CHECK_FALSE(allowed);
      std::filesystem::rename(kept, file);
    }
  }
}

TEST_CASE(
    "a disk that cannot be opened is refused with one reason, and another one behind the name "
    "too") {
  DiskCase disk = good();
  disk.disk.opened = OpenedFacts();
  disk.contents = Fact<Contents>::unreadable("it was not opened");
  CHECK(codes(disk) == Codes{"disk-fact-unreadable"});
  CHECK(judge(disk, confirmed(disk.request.drive_id)).reasons[0].remedy.find("root") !=
        std::string::npos);

  disk = good();
  disk.disk.opened.handle = DiskHandle{{8, 32}, 7};
  CHECK(codes(disk) == Codes{"disk-fact-unreadable"});
  disk.disk.opened.handle = DiskHandle{{8, 16}, 8};  // plugged in anew
  CHECK(codes(disk) == Codes{"disk-fact-unreadable"});
}

TEST_CASE("a disk is confirmed by its serial number, also an empty one") {
  Consent consent = confirmed();
  consent.confirmed_id.reset();
  CHECK(codes(good(), consent) == Codes{"disk-not-confirmed"});
  consent.silent = true;
  CHECK(codes(good(), consent) == Codes{"disk-not-confirmed"});
  consent.confirmed_id = "ZA1B2C3D";
  CHECK(codes(good(), consent) == Codes{"disk-wrong-confirmation"});
}

TEST_CASE("what is on a disk is destroyed only where the driveset says Format") {
  DiskCase disk = good();
  Contents contents;
  contents.first_data = 4096;
  contents.description = "GPT, NTFS 'Backup'";
  disk.contents = contents;
  Consent consent = confirmed();
  CHECK(codes(disk, consent).empty());
  consent.format = false;
  CHECK(codes(disk, consent) == Codes{"disk-not-empty"});
}

TEST_CASE("only the disk that was begun is continued") {
  DiskCase disk = good();
  Consent consent;
  consent.begun = Consent::Begun{identity_text(disk), std::nullopt};
  CHECK(codes(disk, consent) == Codes{"disk-not-confirmed"});
  consent.begun->disk_guid = Guid::random();
  CHECK(codes(disk, consent) == Codes{"disk-not-the-one-begun"});
  disk.disk_guid = consent.begun->disk_guid->lower();
  CHECK(codes(disk, consent).empty());
  const DiskCase continued = disk;
  for (int taken = 0; forget(disk, taken); ++taken) {
    CAPTURE(taken);
    CHECK_FALSE(judge(disk, consent).allowed());
    disk = continued;
  }
  consent.begun->identity = "disk:ZA1B2C3D:4000787030016:512";
  CHECK(codes(disk, consent) == Codes{"disk-not-the-one-begun"});
}

TEST_CASE("a disk without a serial number is continued by its table, or confirmed anew") {
  FakeMachine machine;
  FakeDisk loop;
  loop.name = "loop3";
  loop.number = "7:3";
  loop.port = "virtual";
  machine.add_disk(loop);
  DiskCase disk = case_of(machine, "loop3");
  Consent consent;
  consent.begun = Consent::Begun{identity_text(disk), std::nullopt};
  CHECK(codes(disk, consent) == Codes{"disk-not-confirmed"});
  consent.begun->disk_guid = Guid::random();
  disk.disk_guid = consent.begun->disk_guid->lower();
  CHECK(codes(disk, consent).empty());
}

TEST_CASE("a drive behind a bridge, hidden areas and unknown health are warned of") {
  DiskCase disk = behind_a_bridge();
  identify(disk);
  CHECK(codes(disk).empty());
  CHECK(warnings_of(disk).size() == 1);
  disk.disk.opened.health = std::optional<Health>();
  CHECK(warnings_of(disk).size() == 2);
  Health untold;
  untold.self_assessed = false;
  disk.disk.opened.health = std::optional(untold);
  CHECK(codes(disk).empty());
  CHECK(warnings_of(disk).size() == 2);
  CHECK(hidden_bytes(disk.disk) == std::nullopt);
  change_reports(disk, [](auto& reports) { reports.native_bytes = kBytes; });
  CHECK(hidden_bytes(disk.disk) == 0);
  CHECK(warnings_of(disk).size() == 2);
  change_reports(disk, [](auto& reports) { reports.native_bytes = kBytes + 512; });
  CHECK(warnings_of(disk).size() == 3);
  CHECK(hidden_bytes(disk.disk) == 512);
}

TEST_CASE("what to do about a weak serial number suits the command") {
  for (const bool in_job : {true, false}) {
    DiskCase disk = behind_a_bridge();
    disk.request.import_job = in_job;
    const Verdict verdict = judge(disk, Consent{});
    const auto& reasons = verdict.reasons;
    const auto weak = std::ranges::find(reasons, "disk-serial-weak", &Reason::code);
    REQUIRE(weak != reasons.end());
    CHECK((weak->remedy.find("DriveId") != std::string::npos) == in_job);
    CHECK(weak->remedy.find("--accept disk-serial-weak:") != std::string::npos);
  }
}

TEST_CASE("a loop device has the name that the job gives it") {
  FakeMachine machine;
  FakeDisk loop;
  loop.name = "loop3";
  loop.number = "7:3";
  loop.port = "virtual";
  machine.add_disk(loop);
  DiskCase disk = case_of(machine, "loop3");
  disk.request.drive_id = "DISK0";
  Consent consent = confirmed();
  consent.confirmed_id = "DISK0";
  CHECK(codes(disk, consent).empty());
  CHECK(identity_text(disk) == "disk:DISK0:4000787030016:512");
}

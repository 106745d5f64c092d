#include "drive/guard/disk_policy.h"

#include <algorithm>

#include "base/human_text.h"

namespace driveprep::guard {
namespace {

using inventory::Bus;
using inventory::DiskFacts;
using inventory::DriveIdentity;
using inventory::Trust;
using inventory::Use;

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

class Judge {
 public:
  Judge(const DiskCase& disk, const Consent& consent)
      : case_(disk),
        disk_(disk.disk),
        consent_(consent),
        identity_(disk.disk.identity()),
        name_(disk.disk.node.string()) {}

  Verdict verdict() {
    if (is_a_drive()) {
      check_descriptor();
      check_use();
      check_identity();
      check_medium();
      check_sizes();
      check_health();
      check_contents();
    }
    return std::move(verdict_);
  }

 private:
  void refuse(std::string code, ErrorKind kind, std::string message, std::string remedy) {
    if (is_acceptable(code) && case_.request.accepted.contains(code)) return;
    verdict_.reasons.push_back({std::move(code), kind, std::move(message), std::move(remedy)});
  }
  void refuse(std::string code, std::string message, std::string remedy) {
    refuse(std::move(code), ErrorKind::kRefused, std::move(message), std::move(remedy));
  }
  std::string accepting(std::string_view code) const {
    return "--accept " + std::string(code) + ":" + case_.request.drive_id;
  }

  // A fact that is not known refuses; false then.
  template <typename T>
  bool known(const Fact<T>& fact, const char* what) {
    if (fact.known()) return true;
    refuse("disk-fact-unreadable",
           "cannot tell " + std::string(what) + " of " + name_ + ": " + fact.why_not(),
           "Remove the cause, then run the same command again.");
    return false;
  }

  // What only a descriptor tells: when there is none, that has been said once.
  template <typename T>
  bool known_opened(const Fact<T>& fact, const char* what) {
    return disk_.opened.handle.known() ? known(fact, what) : fact.known();
  }

  void check_descriptor() {
    if (!disk_.opened.handle.known()) {
      refuse("disk-fact-unreadable",
             "cannot look into " + name_ + ": " + disk_.opened.handle.why_not(),
             "Run the command as root: sudo driveprep ...");
    } else if (disk_.handle.known() && disk_.handle.value() != disk_.opened.handle.value()) {
      refuse("disk-fact-unreadable", name_ + " leads to another device than the kernel lists there",
             "Wait until no drive is being plugged in, then run the same command again.");
    }
  }

  // Of anything else there is nothing more to say.
  bool is_a_drive() {
    bool drive = true;
    if (!known(disk_.whole, "whether it is a whole disk")) {
      drive = false;
    } else if (!disk_.whole.value()) {
      refuse("disk-not-whole", name_ + " is a partition, not a whole disk", "Name the whole disk.");
      drive = false;
    }
    if (!known(disk_.disk, "the kind")) {
      drive = false;
    } else if (!disk_.disk.value()) {
      refuse("disk-not-a-drive", name_ + " is no drive that can be shipped",
             "Name a disk; driveprep drives lists them.");
      drive = false;
    }
    if (known(disk_.hidden, "whether it is hidden") && disk_.hidden.value()) {
      refuse("disk-hidden", name_ + " is hidden by the kernel: another device stands for it",
             "Name the device that driveprep drives shows.");
    }
    return drive;
  }

  // What leaves nothing but another drive comes first: its advice is the one that is followed.
  void check_use() {
    const bool uses = known(disk_.uses, "what uses it,");
    const auto add_uses = [&](bool system) {
      if (!uses) return;
      for (const Use& use : disk_.uses.value()) {
        if ((use.system || use.kind == Use::Kind::kSwap) == system) add_use(use);
      }
    };
    add_uses(true);
    if (known(case_.sources, "whether a source lies on it,") && !case_.sources.value().empty()) {
      refuse("disk-holds-source", name_ + " holds " + listed(case_.sources.value()),
             "Use another drive: what is to be copied from must not be written to.");
    }
    if (known(case_.belongings, "whether the job lies on it,") &&
        !case_.belongings.value().empty()) {
      refuse("disk-holds-job", name_ + " holds " + listed(case_.belongings.value()),
             "Use another drive, or move these to another disk.");
    }
    add_uses(false);
  }

  void add_use(const Use& use) {
    const std::string where =
        use.device == disk_.name ? name_ : "/dev/" + use.device + " of " + name_;
    if (use.kind == Use::Kind::kSwap) {
      refuse("disk-system", where + " is swap space",
             "Use another drive: this one is the system's.");
    } else if (use.kind == Use::Kind::kMount && use.system) {
      refuse("disk-system", where + " is mounted at " + use.what + ": the running system needs it",
             "Use another drive: this one is the system's.");
    } else if (use.kind == Use::Kind::kMount) {
      refuse("disk-mounted", ErrorKind::kBusy, where + " is mounted at " + use.what,
             "Make sure that it is the right drive, then unmount it: umount " + use.what);
    } else {
      refuse("disk-held", ErrorKind::kBusy, where + " is in use by " + use.what,
             "Make sure that it is the right drive, then stop what is made of it.");
    }
  }

  void check_identity() {
    if (!known(disk_.handle, "the device number")) return;
    if (!known(disk_.reports, "the serial number")) return;
    if (disk_.reports.value().bus == Bus::kLoop) return;  // the job names it
    if (identity_.trust == Trust::kContradictory) {
      refuse("disk-serial-contradictory",
             name_ + " is said to be several drives: " + identity_.contradiction,
             "Connect it directly to a SATA port and look again.");
      return;
    }
    if (known(case_.same_serial, "whether another disk has the serial number") &&
        !case_.same_serial.value().empty()) {
      refuse("disk-serial-duplicate",
             name_ + " has the same serial number as " + listed(case_.same_serial.value()) + ": " +
                 identity_.serial.value().value,
             "Unplug the other one, or use an enclosure that tells the disk's own serial number.");
    }
    if (identity_.trust != Trust::kStrong) {
      refuse(
          "disk-serial-weak",
          identity_.serial ? "only the enclosure of " + name_ + " tells a serial number (" +
                                 identity_.serial->value + "), not the disk itself"
                           : name_ + " tells no serial number",
          "Connect it directly; or name it by the serial number on its label as DriveId, and add " +
              accepting("disk-serial-weak"));
    } else if (identity_.serial->value != case_.request.drive_id) {
      refuse("disk-not-in-job",
             name_ + " has the serial number " + identity_.serial->value + "; the job means " +
                 case_.request.drive_id,
             "Check which drive is connected, or correct driveset.csv.");
    }
    if (known(case_.finished_for, "whether it was prepared before") &&
        !case_.finished_for.value().empty()) {
      refuse("disk-already-prepared",
             name_ + " was prepared for the job " + case_.finished_for.value() +
                 " and is ready to be shipped",
             "Use another drive; to give that one up, add " + accepting("disk-already-prepared"));
    }
  }

  void check_medium() {
    if (known(disk_.read_only, "whether it can be written,") && disk_.read_only.value()) {
      refuse_read_only();
    } else if (known_opened(disk_.opened.read_only, "whether it can be written,") &&
               disk_.opened.read_only.value()) {
      refuse_read_only();
    }
    if (known(disk_.removable_medium, "whether its medium can be removed,") &&
        disk_.removable_medium.value()) {
      refuse("disk-removable",
             name_ + " has a medium that can be changed: a card reader or a stick, not a drive",
             "Use a drive that the service takes, or add " + accepting("disk-removable"));
    }
    if (!known(disk_.zones, "whether it is zoned,")) return;
    if (disk_.zones.value() == inventory::Zones::kHostManaged) {
      refuse("disk-zoned", name_ + " is zoned: it takes no writes in any order",
             "Use a drive without host-managed zones.");
    } else if (disk_.zones.value() == inventory::Zones::kHostAware) {
      refuse("disk-host-aware", name_ + " has zones that the host should heed",
             "Use another drive, or add " + accepting("disk-host-aware"));
    }
  }

  void refuse_read_only() {
    refuse("disk-read-only", name_ + " is write-protected",
           "Find out what protects it: a switch, the enclosure, or blockdev --setro.");
  }

  void check_sizes() {
    const bool sizes =
        known(disk_.bytes, "the size") && known_opened(disk_.opened.bytes, "the size");
    const bool sectors = known(disk_.logical_sector, "the sector size") &&
                         known_opened(disk_.opened.logical_sector, "the sector size");
    if (!sizes || !sectors) return;
    const std::uint64_t bytes = disk_.opened.bytes.value();
    const std::uint32_t sector = disk_.opened.logical_sector.value();
    if (bytes != disk_.bytes.value() || sector != disk_.logical_sector.value()) {
      refuse("disk-fact-unreadable",
             "the kernel tells two sizes of " + name_ + ": " + std::to_string(disk_.bytes.value()) +
                 " and " + counted(bytes, "byte"),
             "Unplug it, plug it in again, and look again.");
      return;
    }
    if (bytes == 0) {
      refuse("disk-no-medium", name_ + " has no medium in it", "Use another drive.");
      return;
    }
    if (bytes < kSmallestDisk) {
      refuse("disk-too-small",
             name_ + " has " + human_bytes(bytes) + "; the smallest drive has 64 MiB",
             "Use a larger drive.");
    }
    if (bytes > kLargestDisk) {
      refuse("disk-too-large", name_ + " has " + human_bytes(bytes) + ", more than 16 TB",
             "Check that it is one drive and no array; then add " + accepting("disk-too-large"));
    }
    check_sectors(sector);
    check_own_geometry(bytes, sector);
  }

  void check_sectors(std::uint32_t sector) {
    if (!SectorSize::is_valid(sector)) {
      refuse("disk-sector-size",
             name_ + " has sectors of " + counted(sector, "byte") + "; 512 and 4096 can be used",
             "Use another drive.");
    } else if (sector == 4096 && case_.request.import_job) {
      refuse("disk-4kn",
             name_ + " has sectors of 4,096 bytes; the service takes 512 (or 512e) only",
             "Use a drive with 512-byte sectors, or add " + accepting("disk-4kn"));
    }
    if (known(disk_.misalignment, "the alignment") && disk_.misalignment.value() != 0) {
      refuse("disk-misaligned",
             name_ + " has its sectors shifted by " + std::to_string(disk_.misalignment.value()) +
                 " bytes",
             "Connect it in another way: its enclosure or a jumper shifts the sectors.");
    }
    known(disk_.physical_sector, "the physical sector size");
  }

  // A table that was written through a bridge with sizes of its own is none on a SATA port.
  void check_own_geometry(std::uint64_t bytes, std::uint32_t sector) {
    if (!disk_.reports.known() || !disk_.reports.value().own_geometry) return;
    const inventory::Geometry& own = *disk_.reports.value().own_geometry;
    if (own.bytes == bytes && own.logical_sector == sector) return;
    refuse("disk-geometry-altered",
           "the disk in " + name_ + " says it has " + counted(own.bytes, "byte") +
               " in sectors of " + std::to_string(own.logical_sector) +
               "; what connects it shows " + counted(bytes, "byte") + " in sectors of " +
               std::to_string(sector),
           "Connect it directly to a SATA port, or use another enclosure.");
  }

  void check_health() {
    if (!known_opened(disk_.opened.health, "the health") || !disk_.opened.health.value()) return;
    const inventory::Health& health = *disk_.opened.health.value();
    if (health.failing) {
      refuse("disk-failing", ErrorKind::kHealth, name_ + " is failing, by its own account (SMART)",
             "Use another drive.");
    } else if (health.has_bad_sectors()) {
      refuse("disk-bad-sectors", ErrorKind::kHealth,
             name_ + " has bad sectors: " + std::to_string(health.reallocated.value_or(0)) +
                 " reallocated, " + std::to_string(health.pending.value_or(0)) + " pending, " +
                 std::to_string(health.uncorrectable.value_or(0)) + " uncorrectable",
             "Use another drive, or add " + accepting("disk-bad-sectors"));
    }
  }

  void check_contents() {
    if (!known_opened(disk_.opened.signatures, "the contents")) return;
    if (!known_opened(case_.contents, "the contents")) return;
    for (const inventory::Signature& each : disk_.opened.signatures.value().found) {
      if (each.usage != inventory::Usage::kRaidMember) continue;
      refuse("disk-member", name_ + " is a part of something larger (" + each.type + ")",
             "Make sure that nothing needs it any more; then add " + accepting("disk-member"));
    }
    if (consent_.begun && !consent_.replaces && is_recognisable(*consent_.begun)) {
      check_continuation(*consent_.begun);
    } else {
      check_consent();
    }
  }

  // Unlike an image, a disk is confirmed even when it is empty: what it looked like is no proof of
  // which it is.
  void check_consent() {
    const inventory::Contents& contents = case_.contents.value();
    std::string holds = contents.holds_something() ? name_ + " holds: " + contents.description
                                                   : name_ + " is empty";
    if (consent_.replaces) holds += "; " + *consent_.replaces;
    const std::string& id = case_.request.drive_id;
    if (contents.holds_something() && !consent_.format) {
      refuse("disk-not-empty", holds,
             "Use an empty drive, or set FormatOption to Format in driveset.csv to destroy this.");
    } else if (!consent_.confirmed_id) {
      refuse("disk-not-confirmed", ErrorKind::kNotConfirmed,
             holds + "; nobody confirmed that this drive is meant",
             "Type its serial number when asked, or add --confirm " + id + ".");
    } else if (*consent_.confirmed_id != id) {
      refuse("disk-wrong-confirmation", ErrorKind::kNotConfirmed,
             holds + "; the confirmation names another drive than " + id,
             "Check which drive you mean; to destroy this one, confirm " + id + ".");
    }
  }

  // A disk that was begun is known by the table that was written to it. Until then nothing on it is
  // ours, and what has been put there since nobody has agreed to lose.
  static bool is_recognisable(const Consent::Begun& begun) { return begun.disk_guid.has_value(); }

  void check_continuation(const Consent::Begun& begun) {
    const auto not_the_one = [&](const std::string& why) {
      refuse("disk-not-the-one-begun", ErrorKind::kJournalMismatch,
             name_ + " is not the disk that an earlier run began for drive " +
                 case_.request.drive_id + ": " + why,
             "Connect the right drive, or start over with a new job directory.");
    };
    if (identity_text(case_) != begun.identity) {
      not_the_one("it is " + identity_text(case_) + " instead of " + begun.identity);
    } else if (begun.disk_guid && known(case_.disk_guid, "the disk GUID") &&
               case_.disk_guid.value() != begun.disk_guid->lower()) {
      const std::string& found = case_.disk_guid.value();
      not_the_one("its disk GUID is " + (found.empty() ? "missing" : found) + " instead of " +
                  begun.disk_guid->lower());
    }
  }

  const DiskCase& case_;
  const DiskFacts& disk_;
  const Consent& consent_;
  const DriveIdentity identity_;
  const std::string name_;
  Verdict verdict_;
};

}  // namespace

bool is_acceptable(std::string_view code) {
  return std::ranges::find(kAcceptable, code) != kAcceptable.end();
}

std::string identity_text(const DiskCase& disk) {
  const DriveIdentity identity = disk.disk.identity();
  const std::string& serial =
      identity.trust == Trust::kStrong ? identity.serial->value : disk.request.drive_id;
  return "disk:" + serial + ":" +
         std::to_string(disk.disk.bytes.known() ? disk.disk.bytes.value() : 0) + ":" +
         std::to_string(disk.disk.logical_sector.known() ? disk.disk.logical_sector.value() : 0);
}

Verdict judge(const DiskCase& disk, const Consent& consent) {
  return Judge(disk, consent).verdict();
}

std::vector<std::string> warnings_of(const DiskCase& disk) {
  std::vector<std::string> warnings;
  const DiskFacts& facts = disk.disk;
  const std::string name = facts.node.string();
  if (facts.reports.known()) {
    const Bus bus = facts.reports.value().bus;
    if (bus == Bus::kUsb) {
      warnings.push_back(name +
                         " is connected by USB: the service wants the disk in it, not the "
                         "enclosure");
    } else if (bus != Bus::kSata && bus != Bus::kLoop) {
      warnings.push_back(name + " is no SATA drive; the service takes SATA drives only");
    }
  }
  const bool loop = facts.reports.known() && facts.reports.value().bus == Bus::kLoop;
  if (!loop && facts.opened.health.known() && !facts.opened.health.value()) {
    warnings.push_back("the health of " + name + " cannot be read: it is unknown, not good");
  }
  return warnings;
}

}  // namespace driveprep::guard

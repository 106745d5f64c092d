// The policy of disks: medium, sizes and health.
#include "base/human_text.h"
#include "drive/guard/disk_reasons.h"

namespace driveprep::guard {
namespace {

using inventory::Bus;

void check_write_protection(DiskReasons& reasons) {
  const inventory::DiskFacts& disk = reasons.disk();
  constexpr const char* kWhat = "whether it can be written,";
  const bool kernel = reasons.known(disk.read_only, kWhat) && disk.read_only.value();
  const bool opened =
      reasons.known_opened(disk.opened.read_only, kWhat) && disk.opened.read_only.value();
  if (!kernel && !opened) return;
  reasons.refuse("disk-read-only", reasons.name() + " is write-protected",
                 "Find out what protects it: a switch, the enclosure, or blockdev --setro.");
}

// Before what cannot be read because of it.
void check_password(DiskReasons& reasons) {
  const auto& reports = reasons.disk().reports;
  if (!reports.known() || !reports.value().password_locked) return;
  reasons.refuse("disk-password-locked",
                 reasons.name() + " is locked by an ATA password: it reads and writes nothing",
                 "Unlock it with its password (hdparm --security-unlock), or use another drive.");
}

void check_kind_of_medium(DiskReasons& reasons) {
  const inventory::DiskFacts& disk = reasons.disk();
  if (reasons.known(disk.removable_medium, "whether its medium can be removed,") &&
      disk.removable_medium.value()) {
    reasons.refuse(
        "disk-removable",
        reasons.name() + " has a medium that can be changed: a card reader or a stick, not a drive",
        "Use a drive that the service takes, or add " + reasons.accepting("disk-removable"));
  }
  if (!reasons.known(disk.zones, "whether it is zoned,")) return;
  if (disk.zones.value() == inventory::Zones::kHostManaged) {
    reasons.refuse("disk-zoned", reasons.name() + " is zoned: it takes no writes in any order",
                   "Use a drive without host-managed zones.");
  } else if (disk.zones.value() == inventory::Zones::kHostAware && !reasons.of().request.wiping) {
    reasons.refuse("disk-host-aware", reasons.name() + " has zones that the host should heed",
                   "Use another drive, or add " + reasons.accepting("disk-host-aware"));
  }
}

void check_capacity(DiskReasons& reasons, std::uint64_t bytes) {
  if (bytes < kSmallestDisk && !reasons.of().request.wiping) {
    reasons.refuse(
        "disk-too-small",
        reasons.name() + " has " + human_bytes(bytes) + "; the smallest drive has 64 MiB",
        "Use a larger drive.");
  }
  if (bytes > kLargestDisk) {
    reasons.refuse(
        "disk-too-large", reasons.name() + " has " + human_bytes(bytes) + ", more than a drive of 16 TB has",
        "Check that it is one drive and no array; then add " + reasons.accepting("disk-too-large"));
  }
}

void check_sectors(DiskReasons& reasons, std::uint32_t sector) {
  const inventory::DiskFacts& disk = reasons.disk();
  if (!SectorSize::is_valid(sector)) {
    reasons.refuse("disk-sector-size",
                   reasons.name() + " has sectors of " + counted(sector, "byte") +
                       "; 512 and 4096 can be used",
                   "Use another drive.");
  } else if (sector == 4096 && reasons.of().request.import_job) {
    reasons.refuse(
        "disk-4kn",
        reasons.name() + " has sectors of 4,096 bytes; the service takes 512 (or 512e) only",
        "Use a drive with 512-byte sectors, or add " + reasons.accepting("disk-4kn"));
  }
  if (reasons.known(disk.misalignment, "the alignment") && disk.misalignment.value() != 0) {
    reasons.refuse("disk-misaligned",
                   reasons.name() + " has its sectors shifted by " +
                       std::to_string(disk.misalignment.value()) + " bytes",
                   "Connect it in another way: its enclosure or a jumper shifts the sectors.");
  }
  reasons.known(disk.physical_sector, "the physical sector size");
}

// A table that was written through a bridge with sizes of its own is none on a SATA port.
void check_own_geometry(DiskReasons& reasons, std::uint64_t bytes, std::uint32_t sector) {
  const auto& reports = reasons.disk().reports;
  if (!reports.known() || !reports.value().own_geometry) return;
  const inventory::Geometry& own = *reports.value().own_geometry;
  if (own.bytes == bytes && own.logical_sector == sector) return;
  reasons.refuse("disk-geometry-altered",
                 "the disk in " + reasons.name() + " says it has " + counted(own.bytes, "byte") +
                     " in sectors of " + std::to_string(own.logical_sector) +
                     "; what connects it shows " + counted(bytes, "byte") + " in sectors of " +
                     std::to_string(sector),
                 "Connect it directly to a SATA port, or use another enclosure.");
}

void check_sizes(DiskReasons& reasons) {
  const inventory::DiskFacts& disk = reasons.disk();
  const bool sizes =
      reasons.known(disk.bytes, "the size") && reasons.known_opened(disk.opened.bytes, "the size");
  const bool sectors = reasons.known(disk.logical_sector, "the sector size") &&
                       reasons.known_opened(disk.opened.logical_sector, "the sector size");
  if (!sizes || !sectors) return;
  const std::uint64_t bytes = disk.opened.bytes.value();
  const std::uint32_t sector = disk.opened.logical_sector.value();
  if (bytes != disk.bytes.value() || sector != disk.logical_sector.value()) {
    reasons.refuse("disk-fact-unreadable",
                   "the kernel tells two sizes of " + reasons.name() + ": " +
                       std::to_string(disk.bytes.value()) + " and " + counted(bytes, "byte"),
                   "Unplug it, plug it in again, and look again.");
    return;
  }
  if (bytes == 0) {
    reasons.refuse("disk-no-medium", reasons.name() + " has no medium in it", "Use another drive.");
    return;
  }
  check_capacity(reasons, bytes);
  check_sectors(reasons, sector);
  check_own_geometry(reasons, bytes, sector);
}

void check_health(DiskReasons& reasons) {
  const inventory::DiskFacts& disk = reasons.disk();
  // Nothing is to be kept on a disk that is wiped: how well it is may be unknown.
  const bool may_be_unknown = reasons.of().request.wiping;
  if (!disk.opened.health.known()) {
    if (may_be_unknown || !disk.opened.handle.known()) return;  // that it was not opened was said
    reasons.refuse(
        "disk-fact-unreadable",
        "cannot tell the health of " + reasons.name() + ": " + disk.opened.health.why_not(),
        "Remove the cause, or connect the drive directly to a SATA port; then run the "
        "same command again.");
    return;
  }
  if (!disk.opened.health.value()) return;
  const inventory::Health& health = *disk.opened.health.value();
  const std::string& name = reasons.name();
  if (health.failing) {
    if (reasons.of().request.wiping) return;
    reasons.refuse("disk-failing", ErrorKind::kHealth,
                   name + " is failing, by its own account (SMART)", "Use another drive.");
    return;
  }
  // A bridge may keep the answer to itself; nothing on a SATA port does.
  if (!health.self_assessed && !may_be_unknown && disk.reports.known() &&
      disk.reports.value().bus == Bus::kSata) {
    reasons.unknown("the health", "the drive does not answer SMART RETURN STATUS");
  }
  if (health.has_bad_sectors()) {
    reasons.refuse("disk-bad-sectors", ErrorKind::kHealth,
                   name + " has bad sectors: " + std::to_string(health.reallocated.value_or(0)) +
                       " reallocated, " + std::to_string(health.pending.value_or(0)) +
                       " pending, " + std::to_string(health.uncorrectable.value_or(0)) +
                       " uncorrectable",
                   "Use another drive, or add " + reasons.accepting("disk-bad-sectors"));
  }
}

}  // namespace

void check_medium(DiskReasons& reasons) {
  check_password(reasons);
  check_write_protection(reasons);
  check_kind_of_medium(reasons);
  check_sizes(reasons);
  check_health(reasons);
}

}  // namespace driveprep::guard

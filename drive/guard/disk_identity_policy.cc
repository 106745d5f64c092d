// The policy of disks: which one is it, and is it the one that is meant?
#include <algorithm>

#include "base/human_text.h"
#include "drive/guard/disk_reasons.h"
#include "drive/inventory/device_text.h"

namespace driveprep::guard {
namespace {

using inventory::Bus;
using inventory::DriveIdentity;
using inventory::IdentityReports;
using inventory::Source;
using inventory::Trust;

bool is_told_by(const IdentityReports& reports, Source source) {
  return std::ranges::any_of(reports.serials, [&](const inventory::Statement& each) {
    return each.source == source && inventory::is_telling_serial(each.value);
  });
}

// Kernel and bridge repeat what the drive told them once, and both may have it from another drive.
// So a drive that understands ATA has to be asked itself; and on a SATA port, or behind a SAS
// controller, the two words that there always are have to be there, or nothing could contradict.
void check_channels(DiskReasons& reasons, const IdentityReports& reports) {
  if (!reasons.disk().opened.handle.known()) return;  // it was not asked; that has been said
  const bool sas = reports.bus == Bus::kSas;
  if (sas && !reports.speaks_ata) {
    reasons.unknown("whether it is a SATA drive,", "the kernel tells no vendor of it");
    return;
  }
  const bool sata = reports.bus == Bus::kSata || (sas && *reports.speaks_ata);
  const bool itself = is_told_by(reports, Source::kAtaIdentify);
  const bool kept = is_told_by(reports, Source::kAtaPage);
  const bool kernel = sata && is_told_by(reports, Source::kUnitSerial);
  if (!reports.own_geometry) {
    if (!sata && !itself && !kept) return;
    reasons.unknown("what the drive says of itself,", "it does not answer IDENTIFY DEVICE");
  } else if (!itself && (kept || kernel)) {
    reasons.unknown("the serial number", "others have one for it, and it tells none itself");
  } else if (sata && itself && !kernel) {
    reasons.unknown("the serial number", "the kernel does not repeat the one that the drive tells");
  }
}

void check_trust(DiskReasons& reasons, const DriveIdentity& identity) {
  const std::string& name = reasons.name();
  const std::string& drive_id = reasons.of().request.drive_id;
  if (identity.trust != Trust::kStrong) {
    reasons.refuse(
        "disk-serial-weak",
        identity.serial ? "only the enclosure of " + name + " tells a serial number (" +
                              identity.serial->value + "), not the disk itself"
                        : name + " tells no serial number",
        (reasons.of().request.import_job
             ? "Connect it directly; or name it by the serial number on its label as DriveId, and "
               "add "
             : "Connect it directly; or make sure that it is the disk that is meant, and add ") +
            reasons.accepting("disk-serial-weak"));
  } else if (identity.serial->value != drive_id) {
    reasons.refuse(
        "disk-not-in-job",
        name + " has the serial number " + identity.serial->value + "; the job means " + drive_id,
        "Check which drive is connected, or correct driveset.csv.");
  }
}

}  // namespace

void check_identity(DiskReasons& reasons) {
  const DiskCase& disk = reasons.of();
  if (!reasons.known(disk.disk.handle, "the device number")) return;
  if (!reasons.known(disk.disk.reports, "the serial number")) return;
  const IdentityReports& reports = disk.disk.reports.value();
  if (reports.bus == Bus::kLoop) return;  // the job names it
  check_channels(reasons, reports);
  const DriveIdentity identity = disk.disk.identity();
  if (identity.trust == Trust::kContradictory) {
    reasons.refuse("disk-serial-contradictory",
                   reasons.name() + " is said to be several drives: " + identity.contradiction,
                   "Connect it directly to a SATA port and look again.");
    return;
  }
  if (reasons.known(disk.same_serial, "whether another disk has the serial number") &&
      !disk.same_serial.value().empty()) {
    reasons.refuse("disk-serial-duplicate",
                   reasons.name() + " has the same serial number as " +
                       listed(disk.same_serial.value()) + ": " + identity.serial.value().value,
                   "Unplug the other one, or use an enclosure that tells the disk's own serial "
                   "number.");
  }
  check_trust(reasons, identity);
  if (reasons.known(disk.finished_for, "whether it was prepared before") &&
      !disk.finished_for.value().empty()) {
    reasons.refuse("disk-already-prepared",
                   reasons.name() + " was prepared for the job " + disk.finished_for.value() +
                       " and is ready to be shipped",
                   "Use another drive; to give that one up, add " +
                       reasons.accepting("disk-already-prepared"));
  }
}

}  // namespace driveprep::guard

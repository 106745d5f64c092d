// Which drive is it? Several channels tell, some of them lie; what each has said is kept with its
// source, and the conclusion says how far it can be believed. A pure function of the reports.
//
// The rules are those of the drive-safety reference, section 3.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drive/inventory/ata_identify.h"

namespace driveprep::inventory {

enum class Bus { kSata, kSas, kUsb, kNvme, kVirtio, kMmc, kLoop, kOther };
std::string_view to_string(Bus bus);  // "sata", "usb", ...

// Where a statement about a drive comes from, the most reliable first.
enum class Source {
  kAtaIdentify,  // the drive itself, asked now
  kAtaPage,      // VPD 89h: what the kernel or a bridge has kept of that
  kNvme,         // the NVMe controller
  kUnitSerial,   // VPD 80h and 83h; of the drive itself on SATA and SAS, of the bridge on USB
  kInquiry,      // vendor, product and revision of SCSI
  kUsb,          // the descriptor of the enclosure
  kJob,          // the job's DriveId, for what has no serial number of its own
  kOperator,     // typed from the label
};
std::string_view to_string(Source source);  // "ata-identify", "vpd-80", ...

struct Statement {
  std::string value;
  Source source = Source::kInquiry;
  friend bool operator==(const Statement&, const Statement&) = default;
};

// The size of a drive in the words of one source.
struct Geometry {
  std::uint64_t bytes = 0;
  std::uint32_t logical_sector = 512;
  std::uint32_t physical_sector = 512;
  friend bool operator==(const Geometry&, const Geometry&) = default;
};

struct IdentityReports {
  Bus bus = Bus::kOther;
  std::vector<Statement> serials;  // cleaned, never empty texts
  std::vector<Statement> models;
  std::vector<Statement> firmwares;
  std::vector<Statement> wwns;                // "0x5000c500..."
  std::optional<Geometry> own_geometry;       // by IDENTIFY: what the disk itself says
  std::optional<std::uint64_t> native_bytes;  // with what it hides at its end (HPA), if it tells
  bool password_locked = false;               // the drive itself says so, by IDENTIFY
  // Whether it says to be an ATA drive, by INQUIRY or page 89h; not known where it tells no vendor.
  std::optional<bool> speaks_ata;
};

enum class Trust {
  kStrong,         // the drive itself has told its serial number, and nothing contradicts it
  kWeak,           // only the bridge has told one
  kNone,           // no serial number, or one that tells nothing
  kContradictory,  // reliable sources differ
};
std::string_view to_string(Trust trust);

struct DriveIdentity {
  Trust trust = Trust::kNone;
  std::optional<Statement> serial;  // the best one; none for kNone
  std::optional<Statement> model;
  std::optional<Statement> firmware;
  std::optional<Statement> wwn;
  // The serial numbers that do not agree, in words: "AB12 (ata-identify), CD34 (vpd-80)".
  std::string contradiction;
};

// Whether what a source says of the serial number is said by the drive itself, on this bus.
bool is_strong(Source source, Bus bus);

// Adds what an IDENTIFY page says; from the drive itself (kAtaIdentify) its geometry, too.
void add_ata_statements(const AtaIdentify& drive, Source source, IdentityReports& reports);

DriveIdentity conclude(const IdentityReports& reports);

}  // namespace driveprep::inventory

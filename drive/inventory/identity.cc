#include "drive/inventory/identity.h"

#include <algorithm>

#include "base/encoding.h"
#include "drive/inventory/device_text.h"

namespace driveprep::inventory {
namespace {

std::optional<Statement> best_of(const std::vector<Statement>& statements) {
  const auto best = std::ranges::min_element(statements, {}, &Statement::source);
  if (best == statements.end()) return std::nullopt;
  return *best;
}

std::string listed(const std::vector<Statement>& statements) {
  std::string text;
  for (const Statement& each : statements) {
    if (!text.empty()) text += ", ";
    text += each.value + " (" + std::string(to_string(each.source)) + ")";
  }
  return text;
}

}  // namespace

std::string_view to_string(Bus bus) {
  switch (bus) {
    case Bus::kSata: return "sata";
    case Bus::kSas: return "sas";
    case Bus::kUsb: return "usb";
    case Bus::kNvme: return "nvme";
    case Bus::kVirtio: return "virtio";
    case Bus::kMmc: return "mmc";
    case Bus::kLoop: return "loop";
    case Bus::kOther: break;
  }
  return "other";
}

std::string_view to_string(Source source) {
  switch (source) {
    case Source::kAtaIdentify: return "ata-identify";
    case Source::kAtaPage: return "vpd-89";
    case Source::kNvme: return "nvme";
    case Source::kUnitSerial: return "vpd-80";
    case Source::kInquiry: return "inquiry";
    case Source::kUsb: return "usb";
    case Source::kJob: return "job";
    case Source::kOperator: break;
  }
  return "operator";
}

std::string_view to_string(Trust trust) {
  switch (trust) {
    case Trust::kStrong: return "strong";
    case Trust::kWeak: return "weak";
    case Trust::kNone: return "none";
    case Trust::kContradictory: break;
  }
  return "contradictory";
}

bool is_strong(Source source, Bus bus) {
  switch (source) {
    case Source::kAtaIdentify:
    case Source::kAtaPage:
    case Source::kNvme: return true;
    case Source::kUnitSerial: return bus == Bus::kSata || bus == Bus::kSas || bus == Bus::kVirtio;
    default: return false;
  }
}

void add_ata_statements(const AtaIdentify& drive, Source source, IdentityReports& reports) {
  const auto add = [source](std::vector<Statement>& statements, const std::string& value) {
    if (!value.empty()) statements.push_back({value, source});
  };
  add(reports.serials, drive.serial);
  add(reports.models, drive.model);
  add(reports.firmwares, drive.firmware);
  if (drive.wwn) {
    ByteWriter big_endian;
    for (int shift = 56; shift >= 0; shift -= 8) {
      big_endian.u8(static_cast<std::uint8_t>(*drive.wwn >> shift & 0xFF));
    }
    add(reports.wwns, "0x" + hex_lower(big_endian.view()));
  }
  if (source == Source::kAtaIdentify) {
    reports.own_geometry = Geometry{drive.bytes(), drive.logical_sector, drive.physical_sector};
    reports.password_locked = drive.locked;
  }
}

DriveIdentity conclude(const IdentityReports& reports) {
  DriveIdentity identity;
  identity.model = best_of(reports.models);
  identity.firmware = best_of(reports.firmwares);
  identity.wwn = best_of(reports.wwns);

  std::vector<Statement> strong;
  std::vector<Statement> weak;
  for (const Statement& serial : reports.serials) {
    if (!is_telling_serial(serial.value)) continue;
    (is_strong(serial.source, reports.bus) ? strong : weak).push_back(serial);
  }
  if (!strong.empty()) {
    identity.serial = best_of(strong);
    const bool agree = std::ranges::all_of(
        strong, [&](const Statement& each) { return each.value == identity.serial->value; });
    identity.trust = agree ? Trust::kStrong : Trust::kContradictory;
    if (!agree) identity.contradiction = listed(strong);
  } else if (!weak.empty()) {
    identity.serial = best_of(weak);
    identity.trust = Trust::kWeak;
  }
  return identity;
}

}  // namespace driveprep::inventory

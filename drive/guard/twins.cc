#include "drive/guard/twins.h"

#include <algorithm>

#include "drive/inventory/device_text.h"

namespace driveprep::guard {
namespace {

using inventory::DiskFacts;
using Names = std::vector<std::string>;

bool tells(const DiskFacts& disk, const std::string& serial) {
  return std::ranges::find(disk.reports.value().serials, serial, &inventory::Statement::value) !=
         disk.reports.value().serials.end();
}

// What it has told the kernel at its start, at least.
bool has_told_itself(const DiskFacts& disk) {
  const inventory::IdentityReports& reports = disk.reports.value();
  return std::ranges::any_of(reports.serials, [&](const inventory::Statement& each) {
    return inventory::is_strong(each.source, reports.bus) &&
           inventory::is_telling_serial(each.value);
  });
}

// Why it is not known what a disk would say of itself; "" when it is known. One that hangs behind a
// bridge keeps the others from being used; one on a SATA port does not.
std::string not_asked(const DiskFacts& disk) {
  if (!disk.reports.known()) return disk.reports.why_not();
  const bool no_disk = disk.disk.known() && !disk.disk.value();
  if (no_disk || !inventory::takes_ata_commands(disk) || disk.opened.handle.known() ||
      has_told_itself(disk)) {
    return {};
  }
  return disk.opened.handle.why_not();
}

}  // namespace

inventory::Fact<Names> twins_of(const DiskFacts& disk, const std::vector<DiskFacts>& all) {
  Names names;
  const auto serial = disk.identity().serial;
  if (!serial) return names;
  std::string unknown;
  for (const DiskFacts& other : all) {
    if (other.name == disk.name) continue;
    if (other.reports.known() && tells(other, serial->value)) {
      names.push_back(other.node.string());
    } else if (const std::string why = not_asked(other); !why.empty()) {
      unknown = other.node.string() + " may be its twin: " + why;
    }
  }
  if (names.empty() && !unknown.empty()) return inventory::Fact<Names>::unreadable(unknown);
  return names;
}

}  // namespace driveprep::guard

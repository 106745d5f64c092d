#include "drive/guard/twins.h"

#include <algorithm>

#include "drive/inventory/device_text.h"

namespace driveprep::guard {
namespace {

using inventory::DiskFacts;
using Names = std::vector<std::string>;

// What has been said of a disk; nothing where not even the kernel could be understood.
const inventory::IdentityReports* said_of(const DiskFacts& disk) {
  if (disk.reports.known()) return &disk.reports.value();
  return disk.kernel_reports ? &*disk.kernel_reports : nullptr;
}

bool tells(const DiskFacts& disk, const std::string& serial) {
  const inventory::IdentityReports* said = said_of(disk);
  return said != nullptr && std::ranges::find(said->serials, serial,
                                              &inventory::Statement::value) != said->serials.end();
}

// What it has told the kernel at its start, at least.
bool has_told_itself(const inventory::IdentityReports& said) {
  return std::ranges::any_of(said.serials, [&](const inventory::Statement& each) {
    return inventory::is_strong(each.source, said.bus) && inventory::is_telling_serial(each.value);
  });
}

// Why it is not known what a disk would say of itself; "" when it is known. One that hangs behind a
// bridge keeps the others from being used; one on a SATA port does not.
std::string not_asked(const DiskFacts& disk) {
  const bool no_disk = disk.disk.known() && !disk.disk.value();
  const inventory::IdentityReports* said = said_of(disk);
  if (no_disk || (said != nullptr && has_told_itself(*said))) return {};
  if (!disk.reports.known()) return disk.reports.why_not();
  if (!inventory::takes_ata_commands(disk) || disk.opened.handle.known()) return {};
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
    if (tells(other, serial->value)) {
      names.push_back(other.node.string());
    } else if (const std::string why = not_asked(other); !why.empty()) {
      unknown = other.node.string() + " may be its twin, so unplug that one: " + why;
    }
  }
  if (names.empty() && !unknown.empty()) return inventory::Fact<Names>::unreadable(unknown);
  return names;
}

}  // namespace driveprep::guard

#include "drive/guard/twins.h"

#include <algorithm>

namespace driveprep::guard {
namespace {

using inventory::DiskFacts;
using Names = std::vector<std::string>;

bool tells(const DiskFacts& disk, const std::string& serial) {
  return std::ranges::find(disk.reports.value().serials, serial, &inventory::Statement::value) !=
         disk.reports.value().serials.end();
}

// Why it is not known what a disk would say of itself; "" when it is known.
std::string not_asked(const DiskFacts& disk) {
  if (!disk.reports.known()) return disk.reports.why_not();
  const bool no_disk = disk.disk.known() && !disk.disk.value();
  if (no_disk || !inventory::takes_ata_commands(disk) || disk.opened.handle.known()) return {};
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

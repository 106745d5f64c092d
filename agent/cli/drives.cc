#include <algorithm>

#include "agent/cli/commands.h"
#include "agent/cli/drives_output.h"
#include "agent/cli/output.h"
#include "base/ascii.h"
#include "drive/guard/survey.h"
#include "drive/inventory/disk_reports.h"

namespace driveprep::cli {
namespace {

using guard::SurveyedDisk;

// Loop devices, mappings and optical drives are no drives that are sent anywhere; what cannot be
// told to be one of them is shown.
bool is_a_drive(const SurveyedDisk& surveyed) {
  const inventory::DiskFacts& facts = surveyed.disk.disk;
  if (facts.disk.known() && !facts.disk.value()) return false;
  if (facts.hidden.known() && facts.hidden.value()) return false;
  return inventory::bus_of(facts.directory) != inventory::Bus::kLoop;
}

// By serial number, by kernel name, by path, or by a name in /dev/disk/by-id.
bool is_called(const SurveyedDisk& surveyed, const std::string& name) {
  const inventory::DiskFacts& facts = surveyed.disk.disk;
  const auto serial = facts.identity().serial;
  if (serial && ascii::lower(serial->value) == ascii::lower(name)) return true;
  const std::string last = name.substr(name.rfind('/') + 1);
  return name == facts.name || name == facts.node.string() ||
         std::ranges::find(facts.links, last) != facts.links.end();
}

std::vector<SurveyedDisk> wanted(const DrivesOptions& options) {
  std::vector<SurveyedDisk> disks = guard::survey();
  if (!options.explain) {
    if (!options.all) std::erase_if(disks, [](const auto& disk) { return !is_a_drive(disk); });
    return disks;
  }
  std::erase_if(disks, [&](const auto& disk) { return !is_called(disk, *options.explain); });
  if (disks.empty()) {
    throw Error(ErrorKind::kUsage, "drive-not-there",
                "no drive of this machine is called " + *options.explain,
                "driveprep drives lists what is connected; check cable and power.");
  }
  return disks;
}

}  // namespace

int run_drives(const DrivesOptions& options) {
  const std::vector<SurveyedDisk> disks = wanted(options);
  if (options.json) {
    print_json(drives_json(disks));
  } else if (options.explain) {
    for (const SurveyedDisk& disk : disks) print(explained(disk));
  } else if (disks.empty()) {
    print("No drive is connected. (driveprep drives --all shows loop devices and the like, too.)");
  } else {
    print(drives_table(disks));
  }
  return 0;
}

}  // namespace driveprep::cli

#include <algorithm>

#include "agent/cli/commands.h"
#include "agent/cli/drives_output.h"
#include "agent/cli/output.h"
#include "agent/cli/privileges.h"
#include "agent/prepare/prepared_drives.h"
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

std::vector<SurveyedDisk> wanted(const DrivesOptions& options) {
  const guard::Machine machine(disk_opener(), machine_files(), prepare::prepared_drives());
  std::vector<SurveyedDisk> disks = guard::survey(machine);
  if (!options.explain) {
    if (!options.all) std::erase_if(disks, [](const auto& disk) { return !is_a_drive(disk); });
    return disks;
  }
  std::erase_if(
      disks, [&](const auto& disk) { return !guard::is_called(disk.disk.disk, *options.explain); });
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

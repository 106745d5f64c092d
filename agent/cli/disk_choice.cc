#include "agent/cli/disk_choice.h"

#include <algorithm>

#include "agent/cli/drive_question.h"
#include "agent/cli/job_drives.h"
#include "agent/cli/privileges.h"
#include "agent/cli/stop_signals.h"
#include "agent/cli/terminal_answer.h"
#include "agent/prepare/prepared_drives.h"

namespace driveprep::cli {
namespace {

const inventory::DiskFacts& called(const guard::Machine& machine, const std::string& name) {
  const inventory::DiskFacts* found = nullptr;
  for (const inventory::DiskFacts& disk : machine.disks()) {
    if (!guard::is_called(disk, name)) continue;
    if (found != nullptr) {
      throw Error(ErrorKind::kRefused, "disk-serial-duplicate",
                  found->node.string() + " and " + disk.node.string() + " are both called " + name,
                  "Unplug the other one, or use an enclosure that tells the disk's own serial "
                  "number.");
    }
    found = &disk;
  }
  if (found != nullptr) return *found;
  const std::string unless = guard::unless_silent(machine.disks());
  throw Error(unless.empty() ? ErrorKind::kUsage : ErrorKind::kBusy, "drive-not-there",
              "no drive of this machine is called " + name + unless,
              "driveprep drives lists what is connected; check cable and power.");
}

// What agreeing to the disk has to name. The kernel's name for a disk is another one's after the
// next plugging in; that of a loop device is given to its file by whoever attached it.
std::string id_of(const inventory::DiskFacts& disk, const std::string& written) {
  if (const auto serial = disk.identity().serial) return serial->value;
  const bool loop = disk.reports.known() && disk.reports.value().bus == inventory::Bus::kLoop;
  if (loop) return disk.name;
  const std::string last = written.substr(written.rfind('/') + 1);
  if (std::ranges::find(disk.links, last) != disk.links.end()) return last;
  throw Error(ErrorKind::kRefused, "disk-serial-weak",
              disk.node.string() + " tells no serial number, and " + written +
                  " may be another disk at any time",
              disk.links.empty() ? "Connect it directly, so that it tells its serial number."
                                 : "Connect it directly; or name it by its link in "
                                   "/dev/disk/by-id: " +
                                       disk.links.front());
}

}  // namespace

DiskChoice::DiskChoice(const DiskOptions& options, std::vector<std::string> accepted, bool wiping)
    : machine_(std::make_unique<guard::Machine>(disk_opener(), machine_files(),
                                                prepare::prepared_drives())) {
  const inventory::DiskFacts& disk = called(*machine_, options.disk);
  guard::DiskRequest request;
  request.written = options.disk;
  request.drive_id = id_of(disk, options.disk);
  request.import_job = false;
  request.wiping = wiping;
  request.belongings = {{"the program", "/proc/self/exe"}};
  request.accepted.insert(accepted.begin(), accepted.end());
  for (const auto& [id, reasons] : parse_accepted(options.accept)) {
    if (id == request.drive_id) {
      request.accepted.insert(reasons.begin(), reasons.end());
      continue;
    }
    throw Error(ErrorKind::kUsage, "drive-unknown",
                "--accept " + *reasons.begin() + ":" + id + ": the disk is " + request.drive_id,
                "Accept a reason for that one, if it is meant.");
  }
  candidate_.emplace(machine_->examined(machine_->case_of(disk, request)), *machine_);

  consent_.format = true;
  if (!options.confirm.empty()) consent_.confirmed_id = options.confirm.front();
  const guard::Verdict verdict = candidate_->judge(consent_);
  // An answer out of a pipe is no consent.
  if (!only_consent_missing(verdict) || !can_ask()) verdict.throw_if_refused();
}

std::optional<guard::VettedDrive> DiskChoice::vet(const std::optional<std::string>& also,
                                                  const std::string& what_happens) {
  if (!consent_.confirmed_id) {
    consent_.confirmed_id = ask_for_drive_id(*candidate_, also, what_happens);
  }
  if (stop_requested()) return std::nullopt;
  return guard::vet(*candidate_, consent_);
}

}  // namespace driveprep::cli

#include "drive/guard/survey.h"

namespace driveprep::guard {
namespace {

// What a job would call the disk, for the advice. Whose serial number only an enclosure tells, or
// nobody, gets its name from its label.
std::string name_of(const inventory::DiskFacts& facts) {
  const inventory::DriveIdentity identity = facts.identity();
  if (identity.trust == inventory::Trust::kStrong) return identity.serial->value;
  const bool loop = facts.reports.known() && facts.reports.value().bus == inventory::Bus::kLoop;
  return loop ? facts.name : "DRIVEID";
}

SurveyedDisk judged(const Machine& machine, const inventory::DiskFacts& facts) {
  SurveyedDisk result;
  DiskRequest request;
  request.drive_id = request.written = name_of(facts);
  result.disk = machine.case_of(facts, std::move(request));
  Consent consent;
  consent.format = true;
  consent.confirmed_id = result.disk.request.drive_id;
  result.verdict = judge(result.disk, consent);
  result.warnings = warnings_of(result.disk);
  return result;
}

}  // namespace

std::vector<SurveyedDisk> survey(const Machine& machine) {
  std::vector<SurveyedDisk> disks;
  for (const inventory::DiskFacts& facts : machine.disks()) {
    disks.push_back(judged(machine, facts));
  }
  return disks;
}

}  // namespace driveprep::guard

#include "drive/guard/survey.h"

namespace driveprep::guard {
namespace {

std::string name_of(const inventory::DiskFacts& facts) {
  const auto serial = facts.identity().serial;
  return serial ? serial->value : facts.name;
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

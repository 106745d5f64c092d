#include "drive/guard/survey.h"

#include <fcntl.h>

#include "base/posix.h"

namespace driveprep::guard {
namespace {

using inventory::DiskFacts;
using inventory::MachineFacts;
using inventory::Sysfs;

template <typename T>
void unknown(Fact<T>& fact, const std::string& why) {
  fact = Fact<T>::unreadable(why);
}

// Not blocking: the drive of a removable medium waits for one otherwise.
void open_and_look(const Sysfs& sysfs, DiskFacts& facts) {
  const std::filesystem::path node = sysfs.dev() / facts.node.lexically_relative("/dev");
  try {
    const UniqueFd fd = posix::open(node, O_RDONLY | O_NONBLOCK, ErrorKind::kBusy);
    inventory::look_through(fd.get(), facts);
  } catch (const Error& error) {
    const std::string why = error.what();
    unknown(facts.opened.handle, why);
    unknown(facts.opened.bytes, why);
    unknown(facts.opened.logical_sector, why);
    unknown(facts.opened.read_only, why);
    unknown(facts.opened.signatures, why);
    unknown(facts.opened.health, why);
  }
}

// Names of the other disks that tell the same serial number.
std::vector<std::string> same_serial(const DiskFacts& disk, const std::vector<DiskFacts>& all) {
  std::vector<std::string> names;
  const auto serial = disk.identity().serial;
  if (!serial) return names;
  for (const DiskFacts& other : all) {
    if (other.name == disk.name) continue;
    const auto others = other.identity().serial;
    if (others && others->value == serial->value) names.push_back(other.node.string());
  }
  return names;
}

std::string name_of(const DiskFacts& facts) {
  const auto serial = facts.identity().serial;
  return serial ? serial->value : facts.name;
}

// What the signatures alone tell; a disk is not searched for unknown data before it is prepared.
Fact<inventory::Contents> contents_of(const DiskFacts& facts) {
  const auto& signatures = facts.opened.signatures;
  if (!signatures.known()) return Fact<inventory::Contents>::unreadable(signatures.why_not());
  inventory::Contents contents;
  contents.signatures = signatures.value();
  contents.description = inventory::describe(signatures.value());
  return contents;
}

SurveyedDisk judged(const DiskFacts& facts, const std::vector<DiskFacts>& all) {
  SurveyedDisk result;
  DiskCase& disk = result.disk;
  disk.disk = facts;
  disk.request.drive_id = disk.request.written = name_of(facts);
  disk.contents = contents_of(facts);
  disk.disk_guid = std::string();
  disk.same_serial = same_serial(facts, all);
  // No job is asked about, so nothing of one lies on it.
  disk.sources = std::vector<std::string>();
  disk.belongings = std::vector<std::string>();
  disk.finished_for = std::string();
  Consent consent;
  consent.format = true;
  consent.confirmed_id = disk.request.drive_id;
  result.verdict = judge(disk, consent);
  result.warnings = warnings_of(disk);
  return result;
}

bool has_medium(const DiskFacts& facts) { return !facts.bytes.known() || facts.bytes.value() > 0; }

}  // namespace

std::vector<SurveyedDisk> survey(const Sysfs& sysfs) {
  MachineFacts machine = inventory::look_at_machine(sysfs);
  std::erase_if(machine.disks, [](const DiskFacts& facts) { return !has_medium(facts); });
  for (DiskFacts& facts : machine.disks) {
    if (!facts.disk.known() || facts.disk.value()) open_and_look(sysfs, facts);
  }
  std::vector<SurveyedDisk> disks;
  for (const DiskFacts& facts : machine.disks) disks.push_back(judged(facts, machine.disks));
  return disks;
}

}  // namespace driveprep::guard

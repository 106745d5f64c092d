#include "drive/guard/machine.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/ascii.h"
#include "base/path_within.h"
#include "drive/guard/disk_guid.h"
#include "drive/guard/file_lock.h"
#include "drive/guard/twins.h"

namespace driveprep::guard {
namespace {

using inventory::BlockNode;
using inventory::DiskFacts;
using inventory::fact_of;
using inventory::MachineFacts;
using inventory::Sysfs;

// A device that comes or goes while the list is read leaves holes in it for a moment.
constexpr int kLooks = 3;
constexpr std::chrono::milliseconds kPause{200};

bool has_medium(const DiskFacts& facts) { return !facts.bytes.known() || facts.bytes.value() > 0; }

// All disks with a medium.
MachineFacts look_at_still_machine(const Sysfs& sysfs) {
  for (int look = 1;; ++look) {
    try {
      MachineFacts machine = inventory::look_at_machine(sysfs);
      std::erase_if(machine.disks, [](const DiskFacts& facts) { return !has_medium(facts); });
      return machine;
    } catch (const Error& error) {
      if (error.code() != "sysfs-unreadable" || look == kLooks) throw;
    }
    std::this_thread::sleep_for(kPause);
  }
}

std::filesystem::path node_of(const Sysfs& sysfs, const DiskFacts& facts) {
  return sysfs.dev() / facts.node.lexically_relative("/dev");
}

inventory::AtaReader reader_of(DiskOpener& opener) {
  return [&opener](int fd, const std::string& name) { return opener.ata_pages(fd, name); };
}

void open_and_look(DiskOpener& opener, const Sysfs& sysfs, DiskFacts& facts) {
  if (facts.disk.known() && !facts.disk.value()) return;
  try {
    const OpenedDisk disk = opener.open(node_of(sysfs, facts), DiskAccess::kLook);
    inventory::look_through(disk.fd.get(), facts, reader_of(opener));
    facts.opened.locked = is_locked(disk.fd.get(), facts.node.string());
  } catch (const Error& error) {
    facts.opened = inventory::not_opened(error.what());
  }
}

// Without links on the way. The program itself may lie where the user behind sudo may not look; its
// path is the kernel's word, and has none.
std::filesystem::path place_of(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path place = std::filesystem::weakly_canonical(path, error);
  if (!error) return place;
  if (error == std::errc::permission_denied) return path.lexically_normal();
  throw std::filesystem::filesystem_error("find the place of", path, error);
}

// Of what the run must not destroy, what lies on the disk.
std::vector<std::string> found_on(const DiskFacts& disk, const std::vector<Belonging>& wanted,
                                  const MachineFacts& machine) {
  if (wanted.empty()) return {};
  if (!machine.mounts.known()) {
    throw Error(ErrorKind::kBusy, "mounts-unreadable", machine.mounts.why_not());
  }
  if (!disk.backing_file.known()) {
    throw Error(ErrorKind::kBusy, "sysfs-unreadable", disk.backing_file.why_not());
  }
  const std::string& backing = disk.backing_file.value();
  std::vector<std::string> found;
  for (const Belonging& each : wanted) {
    const std::filesystem::path path = place_of(each.path);
    const std::string name = each.what + " " + each.path.string();
    // A loop device is part of what its file lies in.
    if (!backing.empty() && is_within(backing, path)) found.push_back(name);
    for (const BlockNode* device : machine.mounts.value().devices_of(path, machine.tree)) {
      const auto below = machine.tree.devices_under(*device);
      const bool here = disk.handle.known() &&
                        std::ranges::find(below, disk.handle.value().number) != below.end();
      if (here && std::ranges::find(found, name) == found.end()) found.push_back(name);
    }
  }
  return found;
}

// `disk_guid`: of the table that is on the disk now; "" when there is none.
std::string finished_for(const DiskFacts& disk, const std::string& disk_guid,
                         const std::vector<PreparedDrive>& prepared) {
  const auto serial = disk.identity().serial;
  if (!serial || disk_guid.empty()) return {};
  for (const PreparedDrive& each : prepared) {
    if (each.serial == serial->value && each.disk_guid == disk_guid) return each.job;
  }
  return {};
}

std::string guid_in(const Fact<inventory::Signatures>& signatures) {
  if (!signatures.known()) return {};
  const auto& found = signatures.value().found;
  const auto table = std::ranges::find(found, "gpt", &inventory::Signature::type);
  return table == found.end() ? std::string() : ascii::lower(table->uuid);
}

[[noreturn]] void not_there(const std::string& what, const std::string& unless = {}) {
  throw Error(ErrorKind::kBusy, "disk-not-there", "no disk of this machine is " + what + unless,
              "driveprep drives lists what is connected; check cable and power.");
}

const DiskFacts& meant_by_serial(const MachineFacts& machine, const std::string& serial) {
  for (const DiskFacts& disk : machine.disks) {
    const auto own = disk.identity().serial;
    if (own && own->value == serial) return disk;
  }
  not_there("serial:" + serial, unless_silent(machine.disks));
}

const DiskFacts& meant_by_path(const MachineFacts& machine, const std::filesystem::path& path) {
  const BlockNode* node = machine.tree.find_path(path);
  if (node == nullptr) not_there(path.string());
  if (node->disk) {
    throw Error(ErrorKind::kRefused, "disk-not-whole",
                path.string() + " is a partition, not a whole disk", "Name the whole disk.");
  }
  for (const DiskFacts& disk : machine.disks) {
    if (disk.name == node->name) return disk;
  }
  not_there(path.string());
}

Fact<inventory::Contents> from_signatures(const DiskFacts& facts) {
  const auto& signatures = facts.opened.signatures;
  if (!signatures.known()) return Fact<inventory::Contents>::unreadable(signatures.why_not());
  inventory::Contents contents;
  contents.signatures = signatures.value();
  contents.description = inventory::describe(signatures.value());
  return contents;
}

}  // namespace

Machine::Machine(DiskOpener& opener, Sysfs sysfs, std::vector<PreparedDrive> prepared)
    : opener_(&opener),
      sysfs_(std::move(sysfs)),
      prepared_(std::move(prepared)),
      facts_(look_at_still_machine(sysfs_)) {
  for (DiskFacts& facts : facts_.disks) open_and_look(opener, sysfs_, facts);
}

DiskCase Machine::case_of(const DiskFacts& disk, DiskRequest request) const {
  DiskCase found;
  found.disk = disk;
  found.request = std::move(request);
  const auto serial = disk.identity().serial;
  if (found.request.drive_id.empty() && serial) found.request.drive_id = serial->value;
  found.contents = from_signatures(disk);
  found.disk_guid = std::string();
  found.same_serial = twins_of(disk, facts_.disks);
  found.sources = fact_of([&] { return found_on(disk, found.request.sources, facts_); });
  found.belongings = fact_of([&] { return found_on(disk, found.request.belongings, facts_); });
  found.finished_for = finished_for(disk, guid_in(disk.opened.signatures), prepared_);
  return found;
}

// Sizes that are no sizes have been said by the facts.
void Machine::examine(DiskCase& disk, int fd) const {
  const auto& opened = disk.disk.opened;
  if (!opened.bytes.known() || !opened.logical_sector.known() ||
      !SectorSize::is_valid(opened.logical_sector.value())) {
    return;
  }
  const std::string name = disk.disk.node.string();
  const std::uint64_t size = opened.bytes.value();
  const SectorSize sector(opened.logical_sector.value());
  const auto unreadable =
      disk.request.wiping ? inventory::Unreadable::kNote : inventory::Unreadable::kFail;
  disk.contents = fact_of([&] {
    return inventory::examine_contents(fd, {0, size}, sector, name, unreadable);
  });
  disk.disk_guid = fact_of([&] { return disk_guid_of(fd, name, size, sector); });
  if (disk.disk_guid.known()) {
    disk.finished_for = finished_for(disk.disk, disk.disk_guid.value(), prepared_);
  }
}

DiskCase Machine::find(const DiskRequest& request) const {
  const DiskFacts& disk = request.serial.empty() ? meant_by_path(facts_, request.path)
                                                 : meant_by_serial(facts_, request.serial);
  return case_of(disk, request);
}

DiskCase Machine::examined(DiskCase disk) const {
  if (!disk.disk.disk.known() || !disk.disk.disk.value()) return disk;
  try {
    const OpenedDisk opened = opener_->open(node_of(sysfs_, disk.disk), DiskAccess::kLook);
    examine(disk, opened.fd.get());
  } catch (const Error& error) {
    disk.contents = Fact<inventory::Contents>::unreadable(error.what());
  }
  return disk;
}

// A disk that has been asked is not asked again while it is the same one to the kernel.
void Machine::ask_new_ones(MachineFacts& fresh, const std::string& but) const {
  for (DiskFacts& disk : fresh.disks) {
    if (disk.name == but) continue;
    const auto known = std::ranges::find_if(facts_.disks, [&](const DiskFacts& then) {
      return then.handle.known() && disk.handle.known() &&
             then.handle.value() == disk.handle.value();
    });
    if (known == facts_.disks.end()) {
      open_and_look(*opener_, sysfs_, disk);
    } else {
      disk.reports = known->reports;
      disk.opened = known->opened;
    }
  }
}

DiskCase Machine::look_again(const DiskCase& then, int fd) const {
  MachineFacts fresh = look_at_still_machine(sysfs_);
  const auto disk = std::ranges::find(fresh.disks, then.disk.name, &DiskFacts::name);
  if (disk == fresh.disks.end()) not_there(then.disk.node.string() + " any more");
  inventory::look_through(fd, *disk, reader_of(*opener_));
  ask_new_ones(fresh, disk->name);
  DiskCase now = then;
  now.disk = *disk;
  now.same_serial = twins_of(*disk, fresh.disks);
  now.sources = fact_of([&] { return found_on(*disk, then.request.sources, fresh); });
  now.belongings = fact_of([&] { return found_on(*disk, then.request.belongings, fresh); });
  now.contents = Fact<inventory::Contents>();
  examine(now, fd);
  return now;
}

bool is_called(const DiskFacts& disk, const std::string& name) {
  const auto serial = disk.identity().serial;
  if (serial && ascii::lower(serial->value) == ascii::lower(name)) return true;
  const std::string last = name.substr(name.rfind('/') + 1);
  return name == disk.name || name == disk.node.string() ||
         std::ranges::find(disk.links, last) != disk.links.end();
}

std::string unless_silent(const std::vector<DiskFacts>& disks) {
  std::string unless;
  for (const DiskFacts& disk : disks) {
    if (disk.reports.known() || (disk.disk.known() && !disk.disk.value())) continue;
    unless += (unless.empty() ? ", unless it is " : ", or ") + disk.node.string() +
              ", which does not tell: " + disk.reports.why_not();
  }
  return unless;
}

}  // namespace driveprep::guard

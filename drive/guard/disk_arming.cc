// Arming and reading back of disks: the drive-safety reference, section 5, steps 7 to 11.
#include "drive/guard/drive_target.h"
#include "drive/guard/file_lock.h"
#include "drive/inventory/disk_presence.h"
#include "drive/inventory/temperature.h"

namespace driveprep::guard {
namespace {

using inventory::DiskHandle;

[[noreturn]] void changed(const std::string& name, const std::string& what) {
  throw Error(ErrorKind::kBusy, "disk-changed",
              name + " is not what was checked and confirmed: " + what,
              "Look at what is connected (driveprep drives), then run the same command again.");
}

std::string text_of(const DiskHandle& handle) {
  return handle.number.to_string() +
         (handle.sequence ? " with disk sequence " + std::to_string(*handle.sequence) : "");
}

// The kernel's word first: until it is the same device, nothing that is read means anything.
void check_handle(const std::string& name, const DiskHandle& then, const Fact<DiskHandle>& now) {
  if (!now.known()) changed(name, now.why_not());
  if (now.value() == then) return;
  changed(name, "another disk is at its place (it was " + text_of(then) + " and is " +
                    text_of(now.value()) + ")");
}

void check_unchanged(const DiskCase& then, const DiskCase& now) {
  const std::string name = then.disk.node.string();
  check_handle(name, then.disk.handle.value(), now.disk.opened.handle);
  check_handle(name, then.disk.handle.value(), now.disk.handle);
  if (identity_text(now) != identity_text(then)) {
    changed(name, "it was " + identity_text(then) + " and is " + identity_text(now));
  }
  if (now.contents.known() && now.contents.value().digest != then.contents.value().digest) {
    changed(name, "it held \"" + then.contents.value().description + "\" and holds \"" +
                      now.contents.value().description + "\", or other bytes of it differ");
  }
}

std::unique_ptr<block::FileDevice> device_of(OpenedDisk disk, const DiskCase& facts,
                                             const std::string& name) {
  const DiskHandle handle = facts.disk.handle.value();
  for (const int fd : {disk.fd.get(), disk.direct.get()}) {
    if (fd >= 0) check_handle(name, handle, inventory::handle_behind(fd, name));
  }
  const auto presence = std::make_shared<inventory::PresenceWatch>(inventory::Sysfs(), handle);
  auto device = std::make_unique<block::FileDevice>(
      std::move(disk.fd), std::move(disk.direct), name, facts.disk.bytes.value(),
      SectorSize(facts.disk.logical_sector.value()), [presence] { return presence->departure(); });
  if (device->bypasses_cache()) return device;
  throw Error(ErrorKind::kBusy, "disk-only-cached",
              name +
                  " cannot be read past the page cache: nothing that is read back would show "
                  "what the disk itself holds",
              "Use another drive or another connection; the kernel's log (dmesg) may tell why.");
}

}  // namespace

ArmedDrive ArmedDrive::of_disk(const Candidate& then, const Consent& consent) {
  const Machine& machine = then.machine();
  const std::string name = then.name();
  OpenedDisk disk = machine.opener().open(name, DiskAccess::kExclusive);
  check_handle(name, then.disk().disk.handle.value(),
               inventory::handle_behind(disk.fd.get(), name));
  lock(disk.fd.get(), name, Lock::kExclusive);
  DiskCase now = machine.look_again(then.disk(), disk.fd.get());
  check_unchanged(then.disk(), now);
  judge(now, consent).throw_if_refused();
  auto device = device_of(std::move(disk), now, name);
  return ArmedDrive(std::move(device), Candidate(std::move(now), machine));
}

std::unique_ptr<block::FileDevice> ArmedDrive::open_for_reading() const {
  const std::string name = candidate_.name();
  if (!is_disk()) return block::open_image_read_only(name, candidate_.sector());
  return device_of(candidate_.machine().opener().open(name, DiskAccess::kReadBack),
                   candidate_.disk(), name);
}

void ArmedDrive::show_table_to_kernel() {
  if (is_disk()) candidate_.machine().opener().read_table_anew(device_->fd(), candidate_.name());
}

std::optional<inventory::Health> ArmedDrive::health_when_armed() const {
  if (!is_disk()) return std::nullopt;
  const auto& health = candidate_.disk().disk.opened.health;
  return health.known() ? health.value() : std::nullopt;
}

std::optional<inventory::Health> ArmedDrive::health() const {
  if (!is_disk() || !inventory::takes_ata_commands(candidate_.disk().disk)) return std::nullopt;
  try {
    const std::string name = candidate_.name();
    return inventory::health_in(candidate_.machine().opener().ata_pages(device_->fd(), name), name);
  } catch (const Error&) {
    return std::nullopt;  // a drive that hangs or is gone shows in its reads and writes
  }
}

std::optional<int> ArmedDrive::kernel_celsius() const {
  if (!is_disk()) return std::nullopt;
  return inventory::kernel_celsius(candidate_.disk().disk.directory);
}

std::unique_ptr<block::FileDevice> open_for_reading(const Candidate& candidate) {
  const std::string name = candidate.name();
  std::unique_ptr<block::FileDevice> device =
      candidate.is_disk()
          ? device_of(candidate.machine().opener().open(name, DiskAccess::kReadBack),
                      candidate.disk(), name)
          : block::open_image_read_only(name, candidate.sector());
  hold_for_reading(*device);
  return device;
}

}  // namespace driveprep::guard

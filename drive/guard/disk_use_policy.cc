// The policy of disks: is it a drive, and does anything need what is on it?
#include "base/human_text.h"
#include "drive/guard/disk_reasons.h"

namespace driveprep::guard {
namespace {

using inventory::Use;

constexpr const char* kUseAnother = "Use another drive: this one is the system's.";

bool is_of_system(const Use& use) { return use.system || use.kind == Use::Kind::kSwap; }

void add_use(DiskReasons& reasons, const Use& use) {
  const inventory::DiskFacts& disk = reasons.disk();
  const std::string where =
      use.device == disk.name ? reasons.name() : "/dev/" + use.device + " of " + reasons.name();
  if (use.kind == Use::Kind::kSwap) {
    reasons.refuse("disk-system", where + " is swap space", kUseAnother);
  } else if (use.kind == Use::Kind::kMount && use.system) {
    reasons.refuse("disk-system",
                   where + " is mounted at " + use.what + ": the running system needs it",
                   kUseAnother);
  } else if (use.kind == Use::Kind::kMount) {
    reasons.refuse("disk-mounted", ErrorKind::kBusy, where + " is mounted at " + use.what,
                   "Make sure that it is the right drive, then unmount it: umount " + use.what);
  } else {
    reasons.refuse("disk-held", ErrorKind::kBusy, where + " is in use by " + use.what,
                   "Make sure that it is the right drive, then stop what is made of it.");
  }
}

void add_uses(DiskReasons& reasons, bool of_system) {
  if (!reasons.disk().uses.known()) return;
  for (const Use& use : reasons.disk().uses.value()) {
    if (is_of_system(use) == of_system) add_use(reasons, use);
  }
}

void check_belongings(DiskReasons& reasons) {
  const DiskCase& disk = reasons.of();
  if (reasons.known(disk.sources, "whether a source lies on it,") &&
      !disk.sources.value().empty()) {
    reasons.refuse("disk-holds-source", reasons.name() + " holds " + listed(disk.sources.value()),
                   "Use another drive: what is to be copied from must not be written to.");
  }
  if (reasons.known(disk.belongings, "whether the job lies on it,") &&
      !disk.belongings.value().empty()) {
    reasons.refuse("disk-holds-job", reasons.name() + " holds " + listed(disk.belongings.value()),
                   "Use another drive, or move these to another disk.");
  }
}

}  // namespace

bool check_kind(DiskReasons& reasons) {
  const inventory::DiskFacts& disk = reasons.disk();
  bool drive = true;
  if (!reasons.known(disk.whole, "whether it is a whole disk")) {
    drive = false;
  } else if (!disk.whole.value()) {
    reasons.refuse("disk-not-whole", reasons.name() + " is a partition, not a whole disk",
                   "Name the whole disk.");
    drive = false;
  }
  if (!reasons.known(disk.disk, "the kind")) {
    drive = false;
  } else if (!disk.disk.value()) {
    reasons.refuse("disk-not-a-drive", reasons.name() + " is no drive that can be shipped",
                   "Name a disk; driveprep drives lists them.");
    drive = false;
  }
  if (reasons.known(disk.hidden, "whether it is hidden") && disk.hidden.value()) {
    reasons.refuse("disk-hidden",
                   reasons.name() + " is hidden by the kernel: another device stands for it",
                   "Name the device that driveprep drives shows.");
  }
  return drive;
}

// What leaves nothing but another drive comes first: its advice is the one that is followed.
void check_use(DiskReasons& reasons) {
  add_uses(reasons, true);
  reasons.known(reasons.disk().uses, "what uses it,");
  reasons.known(reasons.disk().backing_file, "which file it is made of,");
  check_belongings(reasons);
  add_uses(reasons, false);
  if (reasons.disk().opened.locked) {
    reasons.refuse("disk-locked", ErrorKind::kBusy,
                   reasons.name() +
                       " is locked: another run of driveprep works with it, or udev "
                       "looks at it",
                   "Wait for it to end, then try again; lslocks shows who holds the lock.");
  }
}

}  // namespace driveprep::guard

#include "drive/inventory/disk_facts.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/posix.h"
#include "drive/inventory/disk_reports.h"
#include "drive/inventory/disk_uses.h"

#ifndef BLKGETDISKSEQ
#define BLKGETDISKSEQ _IOR(0x12, 128, __u64)
#endif

namespace driveprep::inventory {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSysfsUnit = 512;  // of "size", whatever the sector size

// SCSI device types: direct access, and simplified direct access (USB sticks).
constexpr std::uint64_t kDirectAccess = 0;
constexpr std::uint64_t kReducedBlock = 14;

// What block devices are called that are no drives.
constexpr std::array<std::string_view, 10> kNoDrives = {"ram", "zram", "fd",   "sr",  "dm-",
                                                        "md",  "nbd",  "drbd", "rbd", "bcache"};

// "target1:0:0" on the way: what the kernel drives as SCSI, ATA and USB included, has a device
// type.
bool is_scsi(const fs::path& disk) {
  return std::ranges::any_of(
      disk, [](const fs::path& part) { return part.string().starts_with("target"); });
}

bool is_disk(const Sysfs& sysfs, const BlockNode& node) {
  for (const std::string_view word : kNoDrives) {
    if (node.name.starts_with(word)) return false;
  }
  // The areas of an eMMC that the machine boots from.
  if (node.name.starts_with("mmcblk") && node.name.find("boot") != std::string::npos) return false;
  if (!is_scsi(node.directory)) return true;
  const std::uint64_t number = sysfs.number(node.directory, "device/type");
  return number == kDirectAccess || number == kReducedBlock;
}

// Nobody is a partition by mistake: what has no request queue of its own is none either.
bool is_whole(const Sysfs& sysfs, const BlockNode& node) {
  return !node.disk && !sysfs.exists(node.directory, "partition") &&
         sysfs.exists(node.directory, "queue");
}

Zones zones_of(const Sysfs& sysfs, const fs::path& disk) {
  const std::string zoned = sysfs.required(disk, "queue/zoned");
  if (zoned == "none") return Zones::kNone;
  if (zoned == "host-aware") return Zones::kHostAware;
  return Zones::kHostManaged;
}

std::int64_t signed_number(const Sysfs& sysfs, const fs::path& disk, const std::string& name) {
  const std::string text = sysfs.required(disk, name);
  std::int64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status == std::errc() && end == text.data() + text.size()) return value;
  throw Error(ErrorKind::kBusy, "sysfs-unreadable",
              (disk / name).string() + ": '" + text + "' is no number");
}

std::uint32_t small_number(const Sysfs& sysfs, const fs::path& disk, const std::string& name) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(sysfs.number(disk, name), UINT32_MAX));
}

DiskHandle handle_of(const Sysfs& sysfs, const BlockNode& node) {
  DiskHandle handle{node.number, std::nullopt};
  if (sysfs.exists(node.directory, "diskseq")) {
    handle.sequence = sysfs.number(node.directory, "diskseq");
  }
  return handle;
}

std::vector<std::string> links_to(const Sysfs& sysfs, const std::string& name) {
  std::vector<std::string> links;
  std::error_code error;
  const fs::path directory = sysfs.dev() / "disk/by-id";
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const fs::path target = fs::read_symlink(entry.path(), error);
    if (!error && target.filename() == name) links.push_back(entry.path().filename().string());
  }
  std::ranges::sort(links);
  return links;
}

template <typename Value>
Value ask(int fd, unsigned long request, const DiskFacts& facts, const char* what) {
  Value value{};
  if (::ioctl(fd, request, &value) == 0) return value;
  throw Error::from_errno(ErrorKind::kBusy, "disk-unreadable",
                          std::string(what) + " of " + facts.node.string(), errno);
}

DiskHandle ask_handle(int fd, const std::string& name) {
  const struct stat status = posix::fstat(fd, name, ErrorKind::kBusy);
  if (!S_ISBLK(status.st_mode)) {
    throw Error(ErrorKind::kBusy, "disk-unreadable", name + " is no block device");
  }
  DiskHandle handle{DeviceNumber::of(status.st_rdev), std::nullopt};
  std::uint64_t sequence = 0;
  if (::ioctl(fd, BLKGETDISKSEQ, &sequence) == 0) {
    handle.sequence = sequence;
  } else if (errno != ENOTTY && errno != EINVAL) {
    throw Error::from_errno(ErrorKind::kBusy, "disk-unreadable", "disk sequence of " + name, errno);
  }
  return handle;
}

}  // namespace

DriveIdentity DiskFacts::identity() const {
  return reports.known() ? conclude(reports.value()) : DriveIdentity();
}

bool takes_ata_commands(const DiskFacts& disk) {
  if (!disk.reports.known()) return false;
  const Bus bus = disk.reports.value().bus;
  return bus == Bus::kSata || bus == Bus::kSas || bus == Bus::kUsb || bus == Bus::kOther;
}

Fact<DiskHandle> handle_behind(int fd, const std::string& name) {
  return fact_of([&] { return ask_handle(fd, name); });
}

const DiskFacts* MachineFacts::find(DeviceNumber number) const {
  const auto found = std::ranges::find_if(disks, [&](const DiskFacts& disk) {
    return disk.handle.known() && disk.handle.value().number == number;
  });
  return found == disks.end() ? nullptr : &*found;
}

DiskFacts look_at_disk(const Sysfs& sysfs, const BlockNode& node, const BlockTree& tree,
                       const Fact<MountTable>& mounts) {
  const fs::path& disk = node.directory;
  DiskFacts facts;
  facts.name = node.name;
  facts.directory = disk;
  std::string device = node.name;
  std::ranges::replace(device, '!', '/');
  facts.node = fs::path("/dev") / device;
  facts.links = links_to(sysfs, node.name);
  facts.whole = fact_of([&] { return is_whole(sysfs, node); });
  facts.disk = fact_of([&] { return is_disk(sysfs, node); });
  facts.hidden = fact_of([&] { return sysfs.flag(disk, "hidden"); });
  facts.handle = fact_of([&] { return handle_of(sysfs, node); });
  facts.removable_medium = fact_of([&] { return sysfs.flag(disk, "removable"); });
  facts.bytes = fact_of([&] { return sysfs.number(disk, "size") * kSysfsUnit; });
  facts.logical_sector =
      fact_of([&] { return small_number(sysfs, disk, "queue/logical_block_size"); });
  facts.physical_sector =
      fact_of([&] { return small_number(sysfs, disk, "queue/physical_block_size"); });
  facts.misalignment = fact_of([&] { return signed_number(sysfs, disk, "alignment_offset"); });
  facts.read_only = fact_of([&] { return sysfs.flag(disk, "ro"); });
  facts.zones = fact_of([&] { return zones_of(sysfs, disk); });
  facts.rotational = fact_of([&] { return sysfs.flag(disk, "queue/rotational"); });
  facts.write_cache = fact_of([&] { return sysfs.required(disk, "queue/write_cache"); });
  facts.largest_discard = fact_of([&] { return sysfs.number(disk, "queue/discard_max_bytes"); });
  facts.backing_file =
      fact_of([&] { return sysfs.attribute(disk, "loop/backing_file").value_or(std::string()); });
  facts.uses = fact_of([&]() -> std::vector<Use> {
    if (!mounts.known()) throw Error(ErrorKind::kBusy, "mounts-unreadable", mounts.why_not());
    return uses_of(node, tree, mounts.value());
  });
  facts.reports = fact_of([&] { return read_reports(sysfs, disk); });
  facts.bus_path = bus_path_of(disk);
  return facts;
}

MachineFacts look_at_machine(const Sysfs& sysfs) {
  MachineFacts machine{
      BlockTree::read(sysfs), fact_of([&] { return MountTable::read(sysfs); }), {}};
  for (const BlockNode& node : machine.tree.nodes()) {
    if (node.disk) continue;
    machine.disks.push_back(look_at_disk(sysfs, node, machine.tree, machine.mounts));
  }
  std::ranges::sort(machine.disks, {}, &DiskFacts::name);
  return machine;
}

void look_through(int fd, DiskFacts& facts, const AtaReader& ata) {
  OpenedFacts& opened = facts.opened;
  opened.handle = handle_behind(fd, facts.node.string());
  opened.bytes = fact_of([&] { return ask<std::uint64_t>(fd, BLKGETSIZE64, facts, "size"); });
  opened.logical_sector = fact_of(
      [&] { return static_cast<std::uint32_t>(ask<int>(fd, BLKSSZGET, facts, "sector size")); });
  opened.read_only =
      fact_of([&] { return ask<int>(fd, BLKROGET, facts, "write protection") != 0; });
  add_answers([&] { return ata(fd, facts.node.string()); }, facts);
  opened.signatures = fact_of([&] {
    // It is refused, and each read of a drive that hangs would take minutes.
    if (!facts.reports.known()) {
      throw Error(ErrorKind::kBusy, "disk-unreadable", facts.reports.why_not());
    }
    if (!opened.bytes.known()) {
      throw Error(ErrorKind::kBusy, "disk-unreadable", opened.bytes.why_not());
    }
    if (!opened.logical_sector.known() || !SectorSize::is_valid(opened.logical_sector.value())) {
      throw Error(ErrorKind::kBusy, "disk-unreadable", "its sector size is not known");
    }
    return probe_signatures(fd, {0, opened.bytes.value()},
                            SectorSize(opened.logical_sector.value()), facts.node.string());
  });
}

void add_answers(const std::function<AtaPages()>& ask, DiskFacts& facts) {
  facts.opened.health = std::optional<Health>();
  if (!takes_ata_commands(facts)) return;
  const std::string name = facts.node.string();
  AtaPages pages;
  std::optional<AtaIdentify> drive;
  try {
    pages = ask();
    drive = identity_in(pages, name);
  } catch (const Error& error) {
    // Nor is what the kernel has of it known any longer: a serial number that might be contradicted
    // is none.
    facts.kernel_reports = facts.reports.value();
    facts.reports = Fact<IdentityReports>::unreadable(error.what());
    facts.opened.health = Fact<std::optional<Health>>::unreadable(error.what());
    return;
  }
  if (!drive) return;
  IdentityReports reports = facts.reports.value();
  add_ata_statements(*drive, Source::kAtaIdentify, reports);
  if (pages.native_sectors) reports.native_bytes = *pages.native_sectors * drive->logical_sector;
  facts.reports = std::move(reports);
  facts.opened.health = fact_of([&] { return health_in(pages, name); });
}

OpenedFacts not_opened(const std::string& why) {
  return {Fact<std::uint64_t>::unreadable(why), Fact<std::uint32_t>::unreadable(why),
          Fact<bool>::unreadable(why),          Fact<DiskHandle>::unreadable(why),
          Fact<Signatures>::unreadable(why),    Fact<std::optional<Health>>::unreadable(why)};
}

}  // namespace driveprep::inventory

// Everything that is known about one disk before it is judged: what sysfs tells without opening it,
// and what only its descriptor tells. Nothing here decides.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "drive/inventory/ata_commands.h"
#include "drive/inventory/block_tree.h"
#include "drive/inventory/fact.h"
#include "drive/inventory/identity.h"
#include "drive/inventory/mounts.h"
#include "drive/inventory/signatures.h"
#include "drive/inventory/smart.h"

namespace driveprep::inventory {

// What a disk is used for just now.
struct Use {
  enum class Kind { kMount, kSwap, kHolder };
  Kind kind = Kind::kMount;
  std::string device;   // "sda1": the disk, a part of it, or something made of it
  std::string what;     // the mount point, or the name of the holder: "dm-0 (vg-root)", "md0"
  bool system = false;  // the machine does not run without it
};

enum class Zones { kNone, kHostAware, kHostManaged };

// What tells a disk of the kernel from another one at the same path.
struct DiskHandle {
  DeviceNumber number;
  std::optional<std::uint64_t> sequence;  // diskseq; none before Linux 5.15
  friend bool operator==(const DiskHandle&, const DiskHandle&) = default;
};

// From the descriptor.
struct OpenedFacts {
  Fact<std::uint64_t> bytes;           // BLKGETSIZE64
  Fact<std::uint32_t> logical_sector;  // BLKSSZGET
  Fact<bool> read_only;                // BLKROGET
  Fact<DiskHandle> handle;
  Fact<Signatures> signatures;
  Fact<std::optional<Health>> health;  // nullopt: the drive tells nothing of its health
  bool locked = false;                 // another program writes to it, or is just looking at it
};

struct DiskFacts {
  std::string name;                 // the kernel's: "sdb"
  std::filesystem::path directory;  // in sysfs
  std::filesystem::path node;       // "/dev/sdb": the kernel's own, no link
  std::vector<std::string> links;   // names in /dev/disk/by-id

  Fact<bool> whole;  // false: a partition
  Fact<bool> disk;   // false: an optical drive, a floppy, a RAM disk, a mapping, ...
  Fact<bool> hidden;
  Fact<DiskHandle> handle;
  Fact<bool> removable_medium;  // a card reader, a floppy: the medium changes under the name
  Fact<std::uint64_t> bytes;
  Fact<std::uint32_t> logical_sector;
  Fact<std::uint32_t> physical_sector;
  Fact<std::int64_t> misalignment;  // alignment_offset, bytes; 0 is right
  Fact<bool> read_only;
  Fact<Zones> zones;
  Fact<bool> rotational;
  Fact<std::string> write_cache;        // "write back", "write through"
  Fact<std::uint64_t> largest_discard;  // bytes; 0: it discards nothing
  Fact<std::vector<Use>> uses;
  Fact<std::string> backing_file;  // of a loop device; "" for a disk

  Fact<IdentityReports> reports;
  // What only the kernel tells, where the drive has been asked in vain: no identity to rely on.
  std::optional<IdentityReports> kernel_reports;
  std::string bus_path;  // where it is plugged in: "pci-0000:00:1f.2/ata2"
  OpenedFacts opened;

  // Of the reports; kNone while these are unreadable.
  DriveIdentity identity() const;
};

// A look at all disks of the machine: only what sysfs and /proc tell; nothing is opened.
struct MachineFacts {
  BlockTree tree;
  Fact<MountTable> mounts;
  std::vector<DiskFacts> disks;  // whole ones, by name

  const DiskFacts* find(DeviceNumber number) const;
};

// Throws kBusy "sysfs-unreadable" when the devices cannot be listed at all.
MachineFacts look_at_machine(const Sysfs& sysfs = Sysfs());

// One disk or partition, whatever it is.
DiskFacts look_at_disk(const Sysfs& sysfs, const BlockNode& node, const BlockTree& tree,
                       const Fact<MountTable>& mounts);

// The disk behind a descriptor; `name` is for the reason why not.
Fact<DiskHandle> handle_behind(int fd, const std::string& name);

// Whether ATA commands can mean anything to a disk on its bus.
bool takes_ata_commands(const DiskFacts& disk);

// How the drive behind a descriptor is asked for its own pages; `name` is for messages.
using AtaReader = std::function<AtaPages(int fd, const std::string& name)>;

// Adds what the descriptor tells: identity by ATA, health, sizes, signatures. `fd`: open for
// reading at least, of the disk that `facts` are about.
void look_through(int fd, DiskFacts& facts, const AtaReader& ata);

// Adds what the drive itself answers: identity, geometry and health; nothing of one that takes no
// ATA commands. Where it cannot be asked or understood (`ask` throws Error), both are unreadable.
void add_answers(const std::function<AtaPages()>& ask, DiskFacts& facts);

// Every fact of the descriptor is unreadable, for this reason.
OpenedFacts not_opened(const std::string& why);

}  // namespace driveprep::inventory

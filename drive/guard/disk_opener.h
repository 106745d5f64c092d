// The one door to disks. What needs privileges of a run is behind it and nowhere else: opening a
// disk, asking it for its own pages, telling the kernel of a new table. Image files do not need it.
//
// There is no way to a disk's contents for writing but the exclusive one, and no fallback from it.
#pragma once

#include <filesystem>
#include <string>

#include "base/unique_fd.h"
#include "drive/inventory/ata_commands.h"

namespace driveprep::guard {

enum class DiskAccess {
  kLook,       // reading, out of the page cache
  kReadBack,   // reading; the second descriptor bypasses the page cache
  kExclusive,  // reading and writing, alone (O_EXCL); the second descriptor bypasses the page cache
};

struct OpenedDisk {
  UniqueFd fd;
  UniqueFd direct;  // O_DIRECT, of the same disk; none for kLook, and where the disk knows none
};

class DiskOpener {
 public:
  virtual ~DiskOpener() = default;

  // `node`: the kernel's own, "/dev/sdb"; a symbolic link is never followed. Throws
  //   kBusy     "disk-in-use"         something else has it (kExclusive)
  //   kBusy     "disk-vanished"       it is not there any more
  //   kRefused  "disk-no-permission"
  //   kRefused  "disk-read-only"      (kExclusive)
  //   kRefused  "disk-not-a-drive"    no block device
  virtual OpenedDisk open(const std::filesystem::path& node, DiskAccess access) = 0;

  // As inventory::read_ata_pages.
  virtual inventory::AtaPages ata_pages(int fd, const std::string& name) = 0;

  // The kernel reads the partition table anew; `fd` is the exclusive one. Throws kBusy
  // "table-not-read".
  virtual void read_table_anew(int fd, const std::string& name) = 0;
};

// With the privileges that this process has.
class OwnOpener final : public DiskOpener {
 public:
  OpenedDisk open(const std::filesystem::path& node, DiskAccess access) override;
  inventory::AtaPages ata_pages(int fd, const std::string& name) override;
  void read_table_anew(int fd, const std::string& name) override;
};

}  // namespace driveprep::guard

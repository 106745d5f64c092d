// A machine of files: sysfs, /proc and /dev as the kernel would show them, in a scratch directory.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "drive/inventory/disk_facts.h"
#include "tests/support/scratch.h"

namespace driveprep::test {

struct FakeDisk {
  std::string name = "sdb";
  std::string number = "8:16";
  // From the controller to the device, below sys/devices.
  std::string port = "pci0000:00/0000:00:1f.2/ata2/host1/target1:0:0/1:0:0:0";
  std::string serial = "WD-WX51A1234567";
  std::string model = "WDC WD40EFRX-68N";
  std::uint64_t bytes = 4'000'787'030'016;
  unsigned logical_sector = 512;
  unsigned physical_sector = 4096;
};

class FakeMachine {
 public:
  // With a file system for the root, on sda1, and nothing else in use.
  FakeMachine();

  void add_disk(const FakeDisk& disk);
  // "sdb1", "8:17".
  void add_partition(const std::string& disk, const std::string& name, const std::string& number);
  // A mapping or array upon devices: "dm-0", "253:0".
  void add_stack(const std::string& name, const std::string& number,
                 const std::vector<std::string>& upon, const std::string& mapping = "");
  void mount(const std::string& number, const std::string& point, const std::string& type = "ext4",
             const std::string& source = "/dev/x", const std::string& options = "rw");
  void swap_on(const std::string& path);

  // Of a disk: sets an attribute, or removes it.
  void set(const std::string& device, const std::string& attribute, const std::string& value);
  void set(const std::string& device, const std::string& attribute, ByteView value);
  void remove(const std::string& device, const std::string& attribute);

  std::filesystem::path directory(const std::string& device) const;
  const std::filesystem::path& root() const { return scratch_.path(); }
  inventory::Sysfs sysfs() const;
  inventory::DiskFacts look_at(const std::string& device) const;

 private:
  void register_device(const std::filesystem::path& directory, const std::string& number);
  void write(const std::filesystem::path& file, ByteView content);

  ScratchDirectory scratch_;
  std::string mountinfo_;
};

// VPD page 80h with this serial number, as the kernel shows it.
Bytes unit_serial_page(const std::string& serial);

}  // namespace driveprep::test

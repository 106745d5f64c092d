#include "tests/support/fake_machine.h"

#include <fstream>

namespace driveprep::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSwapHeading = "Filename\tType\tSize\tUsed\tPriority\n";

}  // namespace

Bytes unit_serial_page(const std::string& serial) {
  ByteWriter page;
  page.u8(0).u8(0x80).u8(0).u8(static_cast<std::uint8_t>(serial.size())).bytes(as_bytes(serial));
  return page.take();
}

FakeMachine::FakeMachine() {
  fs::create_directories(root() / "sys/class/block");
  fs::create_directories(root() / "sys/dev/block");
  fs::create_directories(root() / "dev/disk/by-id");
  write(root() / "proc/swaps", as_bytes(kSwapHeading));
  write(root() / "proc/filesystems",
        as_bytes("nodev\ttmpfs\nnodev\toverlay\nnodev\tproc\n\text4\n"));
  FakeDisk system;
  system.name = "sda";
  system.number = "8:0";
  system.port = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0";
  system.serial = "S3Z9NB0K123456";
  add_disk(system);
  add_partition("sda", "sda1", "8:1");
  mount("8:1", "/", "ext4", "/dev/sda1");
  mount("0:22", "/proc", "proc", "proc");
}

void FakeMachine::write(const fs::path& file, ByteView content) {
  fs::create_directories(file.parent_path());
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  const std::string_view text = as_text(content);
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  require(stream.good(), "a file of the fake machine cannot be written");
}

void FakeMachine::register_device(const fs::path& directory, const std::string& number) {
  write(directory / "dev", as_bytes(number + "\n"));
  fs::create_directories(directory / "holders");
  fs::create_directory_symlink(directory, root() / "sys/class/block" / directory.filename());
  fs::create_directory_symlink(directory, root() / "sys/dev/block" / number);
}

void FakeMachine::add_disk(const FakeDisk& disk) {
  const fs::path device = root() / "sys/devices" / disk.port;
  const fs::path directory = device / "block" / disk.name;
  register_device(directory, disk.number);
  fs::create_directories(directory / "slaves");
  fs::create_directory_symlink(device, directory / "device");
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"size", std::to_string(disk.bytes / 512)},
           {"ro", "0"},
           {"removable", "0"},
           {"hidden", "0"},
           {"alignment_offset", "0"},
           {"diskseq", "7"},
           {"queue/logical_block_size", std::to_string(disk.logical_sector)},
           {"queue/physical_block_size", std::to_string(disk.physical_sector)},
           {"queue/rotational", "1"},
           {"queue/write_cache", "write back"},
           {"queue/zoned", "none"},
           {"queue/discard_max_bytes", "0"},
           {"device/type", "0"},
           {"device/vendor", "ATA     "},
           {"device/model", disk.model},
           {"device/rev", "0A82"}}) {
    set(disk.name, name, value + "\n");
  }
  set(disk.name, "device/vpd_pg80", unit_serial_page(disk.serial));
}

void FakeMachine::add_partition(const std::string& disk, const std::string& name,
                                const std::string& number) {
  const fs::path partition = directory(disk) / name;
  register_device(partition, number);
  write(partition / "partition", as_bytes("1\n"));
  write(partition / "size", as_bytes("204800\n"));
}

void FakeMachine::add_stack(const std::string& name, const std::string& number,
                            const std::vector<std::string>& upon, const std::string& mapping) {
  const fs::path device = root() / "sys/devices/virtual/block" / name;
  register_device(device, number);
  fs::create_directories(device / "slaves");
  fs::create_directories(device / "queue");
  write(device / "size", as_bytes("204800\n"));
  if (!mapping.empty()) write(device / "dm/name", as_bytes(mapping + "\n"));
  for (const std::string& below : upon) {
    fs::create_directory_symlink(directory(below), device / "slaves" / below);
    fs::create_directory_symlink(device, directory(below) / "holders" / name);
  }
}

void FakeMachine::mount(const std::string& number, const std::string& point,
                        const std::string& type, const std::string& source,
                        const std::string& options) {
  mountinfo_ += "36 35 " + number + " / " + point + " rw,noatime shared:1 - " + type + " " +
                source + " " + options + "\n";
  write(root() / "proc/self/mountinfo", as_bytes(mountinfo_));
}

void FakeMachine::swap_on(const std::string& path) {
  write(root() / "proc/swaps",
        as_bytes(std::string(kSwapHeading) + path + " partition\t1048572\t0\t-2\n"));
}

void FakeMachine::set(const std::string& device, const std::string& attribute, ByteView value) {
  write(directory(device) / attribute, value);
}

void FakeMachine::set(const std::string& device, const std::string& attribute,
                      const std::string& value) {
  set(device, attribute, as_bytes(value));
}

void FakeMachine::remove(const std::string& device, const std::string& attribute) {
  fs::remove_all(directory(device) / attribute);
}

fs::path FakeMachine::directory(const std::string& device) const {
  return fs::canonical(root() / "sys/class/block" / device);
}

inventory::Sysfs FakeMachine::sysfs() const {
  return inventory::Sysfs(root() / "sys", root() / "proc", root() / "dev");
}

inventory::DiskFacts FakeMachine::look_at(const std::string& device) const {
  const inventory::Sysfs sysfs = this->sysfs();
  const inventory::MachineFacts machine = inventory::look_at_machine(sysfs);
  const inventory::BlockNode* node = machine.tree.find(device);
  require(node != nullptr, "the fake machine has no such device");
  return inventory::look_at_disk(sysfs, *node, machine.tree, machine.mounts);
}

}  // namespace driveprep::test

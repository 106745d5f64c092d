#include "tests/support/recorded_machine.h"

#include <algorithm>
#include <fstream>

#include "base/encoding.h"
#include "drive/guard/twins.h"
#include "drive/inventory/ata_commands.h"

namespace driveprep::test {
namespace {

namespace fs = std::filesystem;
using namespace inventory;

void write(const fs::path& file, const std::string& content) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << content;
}

void unpack(const nlohmann::json& entry, const fs::path& path) {
  if (entry.is_string()) {
    write(path, entry.get<std::string>());
  } else if (entry.contains("hex")) {
    const Bytes bytes = from_hex(entry.at("hex").get<std::string>()).value();
    write(path, std::string(as_text(bytes)));
  } else if (entry.contains("link")) {
    fs::create_directories(path.parent_path());
    fs::create_symlink(entry.at("link").get<std::string>(), path);
  } else if (entry.contains("dir")) {
    fs::create_directories(path);
  }
  // Files that could not be read, and nodes, stay away.
}

// As the commands are called in the trees.
std::string name_of(const AtaCommand& command) {
  switch (command.command << 8 | command.feature) {
    case 0xEC00: return "ATA IDENTIFY DEVICE";
    case 0xB0D0: return "ATA SMART READ DATA";
    case 0xB0D1: return "ATA SMART READ THRESHOLDS";
    case 0xB0DA: return "ATA SMART RETURN STATUS";
    case 0x2700: return "ATA READ NATIVE MAX ADDRESS EXT";
    default: return "unknown";
  }
}

}  // namespace

RecordedMachine::RecordedMachine(const std::string& tree) {
  std::ifstream file(fs::path(DRIVEPREP_SOURCE_TREE) / "tests/support/fact_trees" / tree);
  require(file.good(), "there is no such tree of facts");
  tree_ = nlohmann::json::parse(file);
  for (const auto& [path, entry] : tree_.at("files").items()) unpack(entry, root() / path);
}

Sysfs RecordedMachine::sysfs() const {
  return Sysfs(root() / "sys", root() / "proc", root() / "dev");
}

inventory::AtaAnswer RecordedMachine::answer(const std::string& disk, const std::string& command,
                                             MutableByteView page) const {
  const nlohmann::json& asked = tree_.at("asked").at(disk).at("sg");
  if (!asked.contains(command)) return {AtaAnswer::Kind::kRefused, {}, {}};
  const nlohmann::json& recorded = asked.at(command);
  const Bytes sense = from_hex(recorded.at("sense").get<std::string>()).value();
  const Bytes data = from_hex(recorded.at("data").get<std::string>()).value();
  const std::size_t length = std::min(data.size(), page.size());
  std::copy_n(data.begin(), length, page.begin());
  return understand({.status = recorded.at("status").get<std::uint8_t>(),
                     .host_status = recorded.at("host").get<std::uint16_t>(),
                     .sense = sense,
                     .asked = page.size(),
                     .missing = page.size() - length});
}

void RecordedMachine::add_answers(DiskFacts& facts) const {
  const nlohmann::json& ioctls = tree_.at("asked").at(facts.name).at("ioctl");
  facts.opened.handle = facts.handle;
  facts.opened.bytes = ioctls.at("BLKGETSIZE64").get<std::uint64_t>();
  facts.opened.logical_sector = ioctls.at("BLKSSZGET").get<std::uint32_t>();
  facts.opened.read_only = ioctls.at("BLKROGET").get<int>() != 0;
  facts.opened.signatures = Signatures();
  const AtaSender sender = [&](const AtaCommand& command, MutableByteView page) {
    return answer(facts.name, name_of(command), page);
  };
  inventory::add_answers([&] { return read_ata_pages(sender, facts.name); }, facts);
}

std::vector<guard::DiskCase> RecordedMachine::look() const {
  MachineFacts machine = look_at_machine(sysfs());
  for (DiskFacts& disk : machine.disks) {
    if (tree_.at("asked").contains(disk.name)) add_answers(disk);
  }
  std::vector<guard::DiskCase> cases;
  for (const DiskFacts& facts : machine.disks) {
    guard::DiskCase disk;
    disk.disk = facts;
    disk.same_serial = guard::twins_of(facts, machine.disks);
    const auto serial = facts.identity().serial;
    disk.request.drive_id = disk.request.written = serial ? serial->value : facts.name;
    disk.contents = Contents();
    disk.disk_guid = std::string();
    disk.sources = std::vector<std::string>();
    disk.belongings = std::vector<std::string>();
    disk.finished_for = std::string();
    cases.push_back(std::move(disk));
  }
  return cases;
}

guard::DiskCase RecordedMachine::look_at(const std::string& name) const {
  for (guard::DiskCase& disk : look()) {
    if (disk.disk.name == name) return std::move(disk);
  }
  require(false, "the recorded machine has no such device");
  return {};
}

}  // namespace driveprep::test

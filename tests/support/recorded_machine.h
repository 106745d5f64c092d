// A machine whose kernel was recorded (tests/support/fact_trees): its sysfs, /proc and /dev as
// files, and what its disks answered when they were asked.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "drive/guard/disk_policy.h"
#include "tests/support/scratch.h"

namespace driveprep::test {

class RecordedMachine {
 public:
  // `tree`: the name of a file there.
  explicit RecordedMachine(const std::string& tree);

  inventory::Sysfs sysfs() const;
  const std::filesystem::path& root() const { return scratch_.path(); }

  // All facts about the disks, each as if a job meant it, with nothing on it that libblkid would
  // find.
  std::vector<guard::DiskCase> look() const;
  guard::DiskCase look_at(const std::string& name) const;
  // What a disk answered, to be changed: "ioctl", and "sg" by the name of the command.
  nlohmann::json& answers_of(const std::string& disk) { return tree_.at("asked").at(disk); }

 private:
  void add_answers(inventory::DiskFacts& facts) const;
  inventory::AtaAnswer answer(const std::string& disk, const std::string& command,
                              MutableByteView page) const;

  ScratchDirectory scratch_;
  nlohmann::json tree_;
};

}  // namespace driveprep::test

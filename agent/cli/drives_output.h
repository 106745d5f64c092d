// What is known about drives, for people and for scripts.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "drive/guard/survey.h"

namespace driveprep::cli {

// How a drive is called best: its name in /dev/disk/by-id, the kernel's where it has none.
std::string drive_path(const inventory::DiskFacts& facts);

// One line a drive.
std::string drives_table(const std::vector<guard::SurveyedDisk>& disks);

// All facts of one drive with their sources, and every reason with its remedy.
std::string explained(const guard::SurveyedDisk& disk);

// {"schema", "drives": [...]}; a fact that is not known is {"unknown": why}.
nlohmann::ordered_json drives_json(const std::vector<guard::SurveyedDisk>& disks);

}  // namespace driveprep::cli

// What `wipe` has done to a drive, as the record that is signed.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "agent/erase/erase_disk.h"
#include "agent/erase/read_back.h"
#include "agent/record/record_place.h"
#include "base/error.h"
#include "base/file_time.h"
#include "drive/guard/disk_policy.h"

namespace driveprep::cli {

struct WipeOutcome {
  erase::Method method = erase::Method::kOverwrite;
  FileTime started;
  FileTime ended;
  erase::EraseReport report;
  std::optional<erase::ReadBack> read_back;
  bool cache_bypassed = false;  // while it was read back
  std::optional<inventory::Health> health_before;
  std::optional<inventory::Health> health_after;
  std::vector<std::string> warnings;
  std::optional<Error> error;
  std::optional<record::EarlierAttempt> earlier;  // that did not come to its end
};

// What the records say of the drive itself.
nlohmann::ordered_json wiped_drive_json(const guard::DiskCase& disk);

// Before anything is written: what is to come is null.
nlohmann::ordered_json begun_wipe_record(const guard::DiskCase& disk, const WipeOutcome& outcome);
// Members: docs/records.md. `disk`: as it was when it was armed.
nlohmann::ordered_json wipe_record(const guard::DiskCase& disk, const WipeOutcome& outcome);

}  // namespace driveprep::cli

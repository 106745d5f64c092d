// What has become of a drive's health while it was worked on.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "drive/guard/drive_target.h"
#include "drive/inventory/smart.h"

namespace driveprep::prepare {

// In words what has grown that must not: "2 pending sectors more (0 before, 2 now)"; "" when
// nothing has, or nothing is known. Bad sectors speak of the medium, interface errors of cable or
// port; after either a drive is not shipped, whatever was read back.
std::string deterioration(const std::optional<inventory::Health>& before,
                          const std::optional<inventory::Health>& now);

// In words what was told before and is no longer: not knowing is not knowing that all is well. ""
// when everything still is.
std::string silence(const std::optional<inventory::Health>& before,
                    const std::optional<inventory::Health>& now);

// What the drive tells when the work is done. One that told something when it was armed is asked
// again for some seconds: after much writing some answer late.
std::optional<inventory::Health> health_after(const guard::ArmedDrive& drive);

// {"failing", "reallocated", "pending", "uncorrectable", "crc_errors", "hours", "celsius"}; null
// for what the drive does not tell; null as a whole when it tells nothing.
nlohmann::ordered_json health_json(const std::optional<inventory::Health>& health);

}  // namespace driveprep::prepare

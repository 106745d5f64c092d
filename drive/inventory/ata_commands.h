// ATA commands to a drive, also through the bridge of a USB enclosure: SG_IO with ATA PASS-THROUGH
// (16).
//
// They only read. Linux wants CAP_SYS_RAWIO for them; the descriptor may be open for reading.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "drive/inventory/ata_identify.h"
#include "drive/inventory/smart.h"

namespace driveprep::inventory {

// The IDENTIFY DEVICE page; nullopt where the device takes no ATA commands (it is no ATA drive, or
// its bridge passes none on). Throws kBusy "ata-failed" when that could not be found out: no
// permission, the device is gone, it does not answer; and for a page that is none.
std::optional<AtaIdentify> identify_ata(int fd, const std::string& name);

// nullopt without SMART, or with SMART turned off. Errors as above.
std::optional<Health> read_ata_health(int fd, const AtaIdentify& drive, const std::string& name);

}  // namespace driveprep::inventory

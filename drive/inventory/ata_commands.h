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

// What a drive has answered, as it came. Reading it takes privileges, understanding it none: the
// two may happen in different processes.
struct AtaPages {
  std::optional<Bytes> identify;    // 512 bytes; none: the device takes no ATA commands
  std::optional<Bytes> smart;       // 512 bytes; none without SMART, or with SMART turned off
  std::optional<Bytes> thresholds;  // 512 bytes
  bool predicts_failure = false;    // by SMART RETURN STATUS
  std::string smart_problem;        // why SMART could not be read; "" when it could, or is none

  friend bool operator==(const AtaPages&, const AtaPages&) = default;
};

// Asks the drive behind `fd`; `name` is for messages. Without an IDENTIFY page the device is no ATA
// drive, or its bridge passes none on. Throws kBusy "ata-failed" when that could not be found out:
// no permission, the device is gone, it does not answer; and for a page that is none.
AtaPages read_ata_pages(int fd, const std::string& name);

// The pages of an identified drive, understood; nullopt without IDENTIFY or SMART. Throws kBusy
// "ata-failed" for pages that cannot be read, and where SMART could not be asked for.
std::optional<AtaIdentify> identity_in(const AtaPages& pages, const std::string& name);
std::optional<Health> health_in(const AtaPages& pages, const std::string& name);

}  // namespace driveprep::inventory

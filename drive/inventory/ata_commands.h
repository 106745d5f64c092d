// ATA commands to a drive, also through the bridge of a USB enclosure: SG_IO with ATA PASS-THROUGH
// (16).
//
// They only read. Linux wants CAP_SYS_RAWIO for them; the descriptor may be open for reading.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "drive/inventory/ata_answer.h"
#include "drive/inventory/ata_identify.h"
#include "drive/inventory/smart.h"

namespace driveprep::inventory {

// What a drive has answered, as it came. Reading it takes privileges, understanding it none: the
// two may happen in different processes.
struct AtaPages {
  std::optional<Bytes> identify;         // 512 bytes; none: the device takes no ATA commands
  std::optional<Bytes> smart;            // 512 bytes; none without SMART
  std::optional<Bytes> thresholds;       // 512 bytes; there when `smart` is
  std::optional<bool> predicts_failure;  // by SMART RETURN STATUS; none: it was not told
  std::string smart_problem;  // why SMART could not be read; "" when it could, or there is none
  // By READ NATIVE MAX ADDRESS EXT, of a drive that can hide an area at its end.
  std::optional<std::uint64_t> native_sectors;

  friend bool operator==(const AtaPages&, const AtaPages&) = default;
};

struct AtaCommand {
  std::uint8_t command = 0;
  std::uint8_t feature = 0;
  std::uint8_t count = 0;
  std::uint8_t mid = 0;
  std::uint8_t high = 0;
  bool extended = false;  // with registers of 48 bits

  friend bool operator==(const AtaCommand&, const AtaCommand&) = default;
};

// Gives a command to a drive. `page`: what is read; empty for a command without data, which gives
// back the registers instead.
using AtaSender = std::function<AtaAnswer(const AtaCommand& command, MutableByteView page)>;

// By SG_IO to the disk behind `fd`, which has to stay open.
AtaSender sg_sender(int fd);

// Asks a drive; `name` is for messages. Without an IDENTIFY page the device is no ATA drive, or its
// bridge passes none on: it has said so. Throws kBusy "ata-failed" when that could not be found
// out: no permission, the device is gone, it does not answer; and for a page that is none.
AtaPages read_ata_pages(const AtaSender& send, const std::string& name);

// The pages of an identified drive, understood; nullopt without IDENTIFY or SMART. Throws kBusy
// "ata-failed" for pages that cannot be read, and where SMART could not be asked for.
std::optional<AtaIdentify> identity_in(const AtaPages& pages, const std::string& name);
std::optional<Health> health_in(const AtaPages& pages, const std::string& name);

}  // namespace driveprep::inventory

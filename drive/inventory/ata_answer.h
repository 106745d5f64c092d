// What SG_IO gives back for an ATA command, understood. A pure function: a device that says no, and
// one that says nothing, are different things to whoever decides.
//
// Format: SAT-3, 12.2 (ATA PASS-THROUGH, and the registers in the sense data); SPC-4, 4.5.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace driveprep::inventory {

// The fields of sg_io_hdr_t that tell how a command ended.
struct SgResult {
  std::uint8_t status = 0;        // of SCSI
  std::uint16_t host_status = 0;  // DID_... of the kernel
  ByteView sense = {};            // as long as it was written
  std::size_t asked = 0;          // bytes of data
  std::size_t missing = 0;        // bytes of these that did not come
};

struct AtaAnswer {
  enum class Kind {
    kDone,
    kRefused,  // the device, or the bridge before it, does not know the command
    kAgain,    // it was reset or exchanged in between, and has said so: ask once more
    kFailed,   // nothing is known: a time-out, a lost connection, an error on the way
  };
  Kind kind = Kind::kDone;
  std::string problem;  // of kFailed
  // The LBA registers (48 bits) of a command that was done and asked for them.
  std::optional<std::uint64_t> lba;
};

AtaAnswer understand(const SgResult& result);

}  // namespace driveprep::inventory

// Removes what was on a disk or image before, keeping a copy of every header that is destroyed.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "base/units.h"
#include "drive/block/file_device.h"
#include "drive/inventory/signatures.h"

namespace driveprep::layout {

struct WipeReport {
  std::vector<inventory::Signature> removed;
  std::vector<ByteRange> erased;             // in the order in which they were zeroed
  std::vector<std::filesystem::path> saved;  // one file a region that held something
};

// Zeros in `area`, a disk or a partition of it, inner structures first and its own tables last:
// each signature, the metadata regions of old BitLocker volumes, the first 64 KiB of each old
// partition and of the place of a new one, the last and the first MiB. Flushes, reads the zeros
// back and probes again: nothing may be found. What lies outside `area` is left alone.
//
// With `save_to`, the contents of a region are saved before it is zeroed, durable, as
// `<save_to>/wiped-<offset>-<length>.bin` (mode 0600; the directory exists). They may hold
// somebody's key material. Regions that are all zeros are not saved. A file already there from an
// earlier run is kept: it is older, so it holds what was there first.
//
// Throws kWrite "wipe-failed" when a signature survives, or anything else at an erased place; other
// errors as of the device.
WipeReport wipe(block::FileDevice& device, const ByteRange& area,
                const std::optional<std::filesystem::path>& save_to);

// The whole of it.
WipeReport wipe_disk(block::FileDevice& device, const std::filesystem::path& save_to);

}  // namespace driveprep::layout

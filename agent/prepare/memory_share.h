// How much memory one drive may use when several are prepared or verified at once: the process
// stays the same size, whatever their number.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/units.h"

namespace driveprep::prepare {

struct MemoryShare {
  std::size_t buffers = 44;                    // of 4 MiB, for the data on its way
  std::uint64_t metadata_cache = 48 * kMiB;    // clean blocks of the file system
  std::uint64_t changed_metadata = 64 * kMiB;  // so much of it makes a checkpoint due

  // The share of one of `drives` drives. Below the least a drive cannot overlap its work.
  static MemoryShare of(std::size_t drives) {
    const MemoryShare all;
    drives = std::max<std::size_t>(drives, 1);
    return {std::max<std::size_t>(all.buffers / drives, 4),
            std::max(all.metadata_cache / drives, 4 * kMiB),
            std::max(all.changed_metadata / drives, 8 * kMiB)};
  }
};

}  // namespace driveprep::prepare

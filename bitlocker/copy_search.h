// Finds the metadata of a volume whose header is lost, by the signature at the start of each copy.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "drive/block/block_device.h"

namespace driveprep::bitlocker {

// Where the three copies lie, as the first sound one says that is found in its own place; nullopt
// when there is none. `everywhere`: in the whole volume, else where copies are likely to be, by the
// rules of Windows 7, Windows 10 and driveprep. `on_progress`: bytes looked at, and how many there
// are; false ends the search. What cannot be read is passed over.
std::optional<std::array<std::uint64_t, 3>> find_copies(
    const block::ReadableDevice& partition, bool everywhere,
    const std::function<bool(std::uint64_t, std::uint64_t)>& on_progress);

}  // namespace driveprep::bitlocker

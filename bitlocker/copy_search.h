// Finds the metadata of a volume whose header is lost, by the signature at the start of each copy.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "drive/block/block_device.h"

namespace driveprep::bitlocker {

// How each copy begins; it begins on a multiple of 512 bytes.
inline constexpr std::string_view kMetadataSignature = "-FVE-FS-";

// Where copies are likely to be in a volume of `size` bytes, by the rules of Windows 7, Windows 10
// and driveprep; up to 4 GiB everywhere.
std::vector<ByteRange> likely_places(std::uint64_t size);

// Where the three copies lie, as the first sound one says that is found in its own place; nullopt
// when there is none. `everywhere`: in the whole volume, else in the likely places. `on_progress`:
// bytes looked at, and how many there are; false ends the search. What cannot be read is passed
// over.
std::optional<std::array<std::uint64_t, 3>> find_copies(
    const block::ReadableDevice& partition, bool everywhere,
    const std::function<bool(std::uint64_t, std::uint64_t)>& on_progress);

}  // namespace driveprep::bitlocker

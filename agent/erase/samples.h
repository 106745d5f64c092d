// Places of a disk that are looked at for all of it.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace driveprep::erase {

inline constexpr std::size_t kSampleBytes = 4096;

// What a place held that was not zeros.
struct HeldSample {
  std::uint64_t offset = 0;
  Bytes held;
};

// A thousand offsets drawn by `seed` and both ends, in ascending order; of whole samples, but for
// the last one of a disk whose size is no multiple of theirs.
std::vector<std::uint64_t> random_places(std::uint64_t disk_bytes, std::uint64_t seed);

}  // namespace driveprep::erase

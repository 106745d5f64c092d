// Size limits of the service, as data. Sources: the Import/Export FAQ for what is refused, the
// limits of Data Box disks, where they are lower, for what is only warned of (docs/names.md).
#pragma once

#include <array>
#include <cstdint>

#include "agent/job/dataset.h"
#include "base/units.h"

namespace driveprep::plan {

struct SizeLimit {
  job::ItemType type;
  std::uint64_t refused_above;
  std::uint64_t warned_above;
  std::uint64_t multiple_of;
};

inline constexpr std::array<SizeLimit, 2> kSizeLimits = {{
    // 5 000 000 MB, which is 4.768 TiB.
    {job::ItemType::kBlockBlob, 5'000'000 * kMiB, 5'000'000 * kMiB, 1},
    {job::ItemType::kPageBlob, 8 * kTiB, 4 * kTiB, 512},
}};

// Windows programs without long-path support fail on longer paths: 260 UTF-16 units with the letter
// of the drive, its colon and the null at the end, of which one is kept back.
inline constexpr std::size_t kLongPathUnits = 256;

}  // namespace driveprep::plan

// Whether bytes are all zero: what becomes a hole, an empty page, or an untouched place.
#pragma once

#include <cstring>

#include "base/bytes.h"

namespace driveprep {

inline bool all_zero(ByteView bytes) {
  // The first is zero, and each one equals the one before it.
  return bytes.empty() || (bytes[0] == std::byte{0} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace driveprep

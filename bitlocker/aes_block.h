// One AES block as a vector: loads, stores and the two 128-bit forms the sector ciphers need.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"

namespace driveprep::bitlocker {

inline constexpr std::size_t kAesBlock = 16;

using Block [[gnu::vector_size(16)]] = std::uint64_t;  // [0] low, [1] high 64 bits, little-endian

static_assert(std::endian::native == std::endian::little,
              "vector loads keep the byte order of disks");

inline Block load_block(const std::byte* from) {
  Block block;
  std::memcpy(&block, from, kAesBlock);
  return block;
}
inline void store_block(std::byte* to, Block block) { std::memcpy(to, &block, kAesBlock); }

}  // namespace driveprep::bitlocker

// Puts the checksum of BitLocker metadata right that a fuzzer has changed.
#pragma once

#include <zlib.h>

#include "base/bytes.h"

namespace driveprep::fuzz {

// `copy`: a metadata copy, of which zeros at the end may be missing. Left alone when its size field
// leads outside.
inline void repair_checksum(MutableByteView copy) {
  constexpr std::size_t kSizeAt = 8;  // u16, in units of 16 bytes
  constexpr std::size_t kUnit = 16;
  constexpr std::size_t kChecksumAt = 4;  // behind the signed part
  if (copy.size() < kSizeAt + 2) return;
  const std::size_t covered = ByteReader(ByteView(copy).subspan(kSizeAt)).u16() * kUnit;
  if (copy.size() < covered + kChecksumAt + 4) return;
  const auto checksum = static_cast<std::uint32_t>(crc32_z(0, uchars(copy), covered));
  const Bytes bytes = ByteWriter().u32(checksum).take();
  std::copy(bytes.begin(), bytes.end(),
            copy.begin() + static_cast<std::ptrdiff_t>(covered + kChecksumAt));
}

}  // namespace driveprep::fuzz

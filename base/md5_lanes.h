// MD5 of several independent blocks at once, one block a vector lane.
//
// One MD5 stream is a chain of dependent additions and leaves most of a core idle; the blocks of a
// drive manifest are independent of each other, so 8 (AVX2) or 16 (AVX-512) of them advance
// together. The choice is made at run time; blocks that do not fill a vector go through OpenSSL.
#pragma once

#include <span>

#include "base/digest.h"

namespace driveprep {

// How many blocks this CPU hashes at once: 16, 8 or 1.
std::size_t md5_lane_count();

// digests[i] = MD5(blocks[i]); equal counts. Blocks may differ in length; the work is best shared
// when they are equal.
void md5_lanes(std::span<const ByteView> blocks, std::span<Md5> digests);

}  // namespace driveprep

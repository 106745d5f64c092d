// The vector kernels behind md5_lanes, one a file because each is compiled for another instruction
// set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace driveprep::md5_kernels {

using State = std::array<std::uint32_t, 4>;  // a, b, c, d

// states[lane] advances by `blocks` message blocks of 64 bytes read from pointers[lane].
void advance_avx2(std::array<State, 8>& states, const std::array<const std::byte*, 8>& pointers,
                  std::size_t blocks);
void advance_avx512(std::array<State, 16>& states, const std::array<const std::byte*, 16>& pointers,
                    std::size_t blocks);

}  // namespace driveprep::md5_kernels

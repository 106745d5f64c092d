// The vector kernels behind md5_lanes, one a file because each is compiled for another instruction
// set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace driveprep::md5_kernels {

// One column a word of the state, so that a kernel loads each as one vector.
template <std::size_t kLanes>
struct States {
  std::array<std::array<std::uint32_t, kLanes>, 4> columns;  // a, b, c, d

  std::array<std::uint32_t, 4> get(std::size_t lane) const {
    return {columns[0][lane], columns[1][lane], columns[2][lane], columns[3][lane]};
  }
  void set(std::size_t lane, const std::array<std::uint32_t, 4>& state) {
    for (std::size_t k = 0; k < 4; ++k) columns[k][lane] = state[k];
  }
};

// Each lane advances by `blocks` message blocks of 64 bytes read from pointers[lane].
void advance_avx2(States<8>& states, const std::array<const std::byte*, 8>& pointers,
                  std::size_t blocks);
void advance_avx512(States<16>& states, const std::array<const std::byte*, 16>& pointers,
                    std::size_t blocks);

}  // namespace driveprep::md5_kernels

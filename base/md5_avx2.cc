#include <immintrin.h>

#include "base/md5_core.h"
#include "base/md5_kernels.h"

namespace {

struct Avx2 {
  using Type = __m256i;
  static constexpr std::size_t kLanes = 8;

  static Type set1(std::uint32_t value) { return _mm256_set1_epi32(static_cast<int>(value)); }
  static Type add(Type x, Type y) { return _mm256_add_epi32(x, y); }
  template <int kShift>
  static Type rotl(Type x) {
    return _mm256_or_si256(_mm256_slli_epi32(x, kShift), _mm256_srli_epi32(x, 32 - kShift));
  }
  static Type f(Type b, Type c, Type d) {
    return _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d)));
  }
  static Type g(Type b, Type c, Type d) { return f(d, b, c); }
  static Type h(Type b, Type c, Type d) { return _mm256_xor_si256(_mm256_xor_si256(b, c), d); }
  static Type i(Type b, Type c, Type d) {
    return _mm256_xor_si256(c, _mm256_or_si256(b, _mm256_xor_si256(d, _mm256_set1_epi32(-1))));
  }

  // Two 8x8 transpositions: words 0-7 and 8-15 of each lane's block.
  static void load(const std::array<const std::byte*, kLanes>& pointers, Type* words) {
    for (int half = 0; half < 2; ++half) {
      Type row[8];
      for (int lane = 0; lane < 8; ++lane) {
        const void* at = pointers[static_cast<std::size_t>(lane)] + 32 * half;
        row[lane] = _mm256_loadu_si256(static_cast<const __m256i*>(at));
      }
      Type pair[8];
      for (int k = 0; k < 4; ++k) {
        pair[2 * k] = _mm256_unpacklo_epi32(row[2 * k], row[2 * k + 1]);
        pair[2 * k + 1] = _mm256_unpackhi_epi32(row[2 * k], row[2 * k + 1]);
      }
      Type quad[8];
      for (int k = 0; k < 2; ++k) {
        quad[4 * k] = _mm256_unpacklo_epi64(pair[4 * k], pair[4 * k + 2]);
        quad[4 * k + 1] = _mm256_unpackhi_epi64(pair[4 * k], pair[4 * k + 2]);
        quad[4 * k + 2] = _mm256_unpacklo_epi64(pair[4 * k + 1], pair[4 * k + 3]);
        quad[4 * k + 3] = _mm256_unpackhi_epi64(pair[4 * k + 1], pair[4 * k + 3]);
      }
      for (int k = 0; k < 4; ++k) {
        words[8 * half + k] = _mm256_permute2x128_si256(quad[k], quad[k + 4], 0x20);
        words[8 * half + k + 4] = _mm256_permute2x128_si256(quad[k], quad[k + 4], 0x31);
      }
    }
  }
};

}  // namespace

namespace driveprep::md5_kernels {

void advance_avx2(States<8>& states, const std::array<const std::byte*, 8>& pointers,
                  std::size_t blocks) {
  const auto column = [&](std::size_t k) {
    void* at = states.columns[k].data();
    return static_cast<__m256i*>(at);
  };
  Md5State<Avx2> state{_mm256_loadu_si256(column(0)), _mm256_loadu_si256(column(1)),
                       _mm256_loadu_si256(column(2)), _mm256_loadu_si256(column(3))};
  md5_advance<Avx2>(state, pointers, blocks);
  _mm256_storeu_si256(column(0), state.a);
  _mm256_storeu_si256(column(1), state.b);
  _mm256_storeu_si256(column(2), state.c);
  _mm256_storeu_si256(column(3), state.d);
}

}  // namespace driveprep::md5_kernels

#include <immintrin.h>

#include "base/md5_core.h"
#include "base/md5_kernels.h"

namespace {

struct Avx512 {
  using Type = __m512i;
  static constexpr std::size_t kLanes = 16;

  static Type set1(std::uint32_t value) { return _mm512_set1_epi32(static_cast<int>(value)); }
  static Type add(Type x, Type y) { return _mm512_add_epi32(x, y); }
  template <int kShift>
  static Type rotl(Type x) {
    return _mm512_rol_epi32(x, kShift);
  }
  // Truth tables of the round functions over (b, c, d).
  static Type f(Type b, Type c, Type d) { return _mm512_ternarylogic_epi32(b, c, d, 0xCA); }
  static Type g(Type b, Type c, Type d) { return _mm512_ternarylogic_epi32(b, c, d, 0xE4); }
  static Type h(Type b, Type c, Type d) { return _mm512_ternarylogic_epi32(b, c, d, 0x96); }
  static Type i(Type b, Type c, Type d) { return _mm512_ternarylogic_epi32(b, c, d, 0x39); }

  // A 16x16 transposition of 32-bit words.
  static void load(const std::array<const std::byte*, kLanes>& pointers, Type* words) {
    Type row[16];
    for (std::size_t lane = 0; lane < 16; ++lane) {
      const void* at = pointers[lane];
      row[lane] = _mm512_loadu_si512(at);
    }
    Type pair[16];
    for (int k = 0; k < 8; ++k) {
      pair[2 * k] = _mm512_unpacklo_epi32(row[2 * k], row[2 * k + 1]);
      pair[2 * k + 1] = _mm512_unpackhi_epi32(row[2 * k], row[2 * k + 1]);
    }
    Type quad[16];
    for (int k = 0; k < 4; ++k) {
      quad[4 * k] = _mm512_unpacklo_epi64(pair[4 * k], pair[4 * k + 2]);
      quad[4 * k + 1] = _mm512_unpackhi_epi64(pair[4 * k], pair[4 * k + 2]);
      quad[4 * k + 2] = _mm512_unpacklo_epi64(pair[4 * k + 1], pair[4 * k + 3]);
      quad[4 * k + 3] = _mm512_unpackhi_epi64(pair[4 * k + 1], pair[4 * k + 3]);
    }
    // quad[4g + j] holds, in its 128-bit part p, word 4p + j of lanes 4g..4g+3.
    for (int j = 0; j < 4; ++j) {
      const Type low01 = _mm512_shuffle_i32x4(quad[j], quad[4 + j], 0x88);
      const Type high01 = _mm512_shuffle_i32x4(quad[j], quad[4 + j], 0xDD);
      const Type low23 = _mm512_shuffle_i32x4(quad[8 + j], quad[12 + j], 0x88);
      const Type high23 = _mm512_shuffle_i32x4(quad[8 + j], quad[12 + j], 0xDD);
      words[j] = _mm512_shuffle_i32x4(low01, low23, 0x88);
      words[8 + j] = _mm512_shuffle_i32x4(low01, low23, 0xDD);
      words[4 + j] = _mm512_shuffle_i32x4(high01, high23, 0x88);
      words[12 + j] = _mm512_shuffle_i32x4(high01, high23, 0xDD);
    }
  }
};

}  // namespace

namespace driveprep::md5_kernels {

void advance_avx512(States<16>& states, const std::array<const std::byte*, 16>& pointers,
                    std::size_t blocks) {
  auto& columns = states.columns;
  Md5State<Avx512> state{
      _mm512_loadu_si512(columns[0].data()), _mm512_loadu_si512(columns[1].data()),
      _mm512_loadu_si512(columns[2].data()), _mm512_loadu_si512(columns[3].data())};
  md5_advance<Avx512>(state, pointers, blocks);
  _mm512_storeu_si512(columns[0].data(), state.a);
  _mm512_storeu_si512(columns[1].data(), state.b);
  _mm512_storeu_si512(columns[2].data(), state.c);
  _mm512_storeu_si512(columns[3].data(), state.d);
}

}  // namespace driveprep::md5_kernels

// MD5 (RFC 1321) written once over a vector type: the private heart of md5_lanes.
//
// `V` supplies the vector: Type, kLanes, set1, add, rotl<N>, the four round functions f, g, h, i,
// and load(pointers, words), which transposes 16 little-endian message words of each lane.
// Everything is in an unnamed namespace because each including file is compiled for another
// instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace {

constexpr std::size_t kMd5BlockBytes = 64;

template <typename V>
struct Md5State {
  typename V::Type a, b, c, d;
};

// One step: a = b + rotl(a + round(b, c, d) + word + constant, shift).
template <typename V, int kShift, typename Round>
inline __attribute__((always_inline)) typename V::Type md5_step(
    typename V::Type a, typename V::Type b, typename V::Type c, typename V::Type d,
    typename V::Type word, std::uint32_t constant, Round round) {
  const typename V::Type sum = V::add(V::add(a, round(b, c, d)), V::add(word, V::set1(constant)));
  return V::add(b, V::template rotl<kShift>(sum));
}

// Advances every lane by `blocks` message blocks; lane i reads from pointers[i].
template <typename V>
void md5_advance(Md5State<V>& state, std::array<const std::byte*, V::kLanes> pointers,
                 std::size_t blocks) {
  using Type = typename V::Type;
  Type a = state.a, b = state.b, c = state.c, d = state.d;
  for (; blocks > 0; --blocks) {
    Type w[16];
    V::load(pointers, w);
    for (auto& pointer : pointers) pointer += kMd5BlockBytes;
    const Type a0 = a, b0 = b, c0 = c, d0 = d;

#define DRIVEPREP_MD5_ROUND(FN, S1, S2, S3, S4, A, B, C, D, K1, K2, K3, K4) \
  a = md5_step<V, S1>(a, b, c, d, w[A], K1, V::FN);                         \
  d = md5_step<V, S2>(d, a, b, c, w[B], K2, V::FN);                         \
  c = md5_step<V, S3>(c, d, a, b, w[C], K3, V::FN);                         \
  b = md5_step<V, S4>(b, c, d, a, w[D], K4, V::FN)

    // One line a row of RFC 1321, for the eye.
    // clang-format off
    DRIVEPREP_MD5_ROUND(f, 7, 12, 17, 22, 0, 1, 2, 3, 0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee);
    DRIVEPREP_MD5_ROUND(f, 7, 12, 17, 22, 4, 5, 6, 7, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501);
    DRIVEPREP_MD5_ROUND(f, 7, 12, 17, 22, 8, 9, 10, 11, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be);
    DRIVEPREP_MD5_ROUND(f, 7, 12, 17, 22, 12, 13, 14, 15, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821);
    DRIVEPREP_MD5_ROUND(g, 5, 9, 14, 20, 1, 6, 11, 0, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa);
    DRIVEPREP_MD5_ROUND(g, 5, 9, 14, 20, 5, 10, 15, 4, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8);
    DRIVEPREP_MD5_ROUND(g, 5, 9, 14, 20, 9, 14, 3, 8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed);
    DRIVEPREP_MD5_ROUND(g, 5, 9, 14, 20, 13, 2, 7, 12, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a);
    DRIVEPREP_MD5_ROUND(h, 4, 11, 16, 23, 5, 8, 11, 14, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c);
    DRIVEPREP_MD5_ROUND(h, 4, 11, 16, 23, 1, 4, 7, 10, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70);
    DRIVEPREP_MD5_ROUND(h, 4, 11, 16, 23, 13, 0, 3, 6, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05);
    DRIVEPREP_MD5_ROUND(h, 4, 11, 16, 23, 9, 12, 15, 2, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665);
    DRIVEPREP_MD5_ROUND(i, 6, 10, 15, 21, 0, 7, 14, 5, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039);
    DRIVEPREP_MD5_ROUND(i, 6, 10, 15, 21, 12, 3, 10, 1, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1);
    DRIVEPREP_MD5_ROUND(i, 6, 10, 15, 21, 8, 15, 6, 13, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1);
    DRIVEPREP_MD5_ROUND(i, 6, 10, 15, 21, 4, 11, 2, 9, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391);
    // clang-format on
#undef DRIVEPREP_MD5_ROUND

    a = V::add(a, a0);
    b = V::add(b, b0);
    c = V::add(c, c0);
    d = V::add(d, d0);
  }
  state = {a, b, c, d};
}

}  // namespace

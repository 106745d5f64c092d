// AES with the instructions of x86 processors, several blocks in registers at a time: what the fast
// sector engines share. Empty for other processors.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include <array>
#include <cstddef>

#include "base/bytes.h"

// Every function that touches a block carries this: the rest of the program runs without AES
// instructions, too. Of AVX only the three-operand forms are used: a tenth faster, because no block
// has to be copied before it is changed. What has AES instructions and not these (Westmere, small
// Atoms) takes the portable engines.
#define DRIVEPREP_AESNI [[gnu::target("aes,avx")]]
// Only unrolled do the blocks stay in registers; -O2 alone leaves them in memory, at a quarter of
// the speed.
#define DRIVEPREP_UNROLL _Pragma("GCC unroll 8")

namespace driveprep::bitlocker::aesni {

// Whether this processor has the instructions.
inline bool available() {
  return __builtin_cpu_supports("aes") != 0 && __builtin_cpu_supports("avx") != 0;
}

inline constexpr std::size_t kBlock = 16;
inline constexpr std::size_t kWide = 8;  // hides the latency of one AES round behind seven others

DRIVEPREP_AESNI inline __m128i load(const std::byte* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(from)));
}
DRIVEPREP_AESNI inline void store(std::byte* to, __m128i block) {
  _mm_storeu_si128(static_cast<__m128i*>(static_cast<void*>(to)), block);
}

// Round keys of one direction (FIPS 197 section 5.2; decryption as its equivalent inverse cipher).
// They are wiped when they go.
class RoundKeys {
 public:
  // `key`: 16 or 32 bytes. Only where available().
  DRIVEPREP_AESNI RoundKeys(ByteView key, bool decrypt);
  RoundKeys(const RoundKeys&) = default;
  RoundKeys& operator=(const RoundKeys&) = delete;
  ~RoundKeys();

  template <bool kDecrypt, std::size_t kCount>
  DRIVEPREP_AESNI [[gnu::always_inline]] inline void transform(__m128i (&blocks)[kCount]) const {
    const __m128i first = keys_[0];
    DRIVEPREP_UNROLL
    for (std::size_t i = 0; i < kCount; ++i) blocks[i] = _mm_xor_si128(blocks[i], first);
    for (int round = 1; round < rounds_; ++round) {
      const __m128i key = keys_[round];
      DRIVEPREP_UNROLL
      for (std::size_t i = 0; i < kCount; ++i) {
        blocks[i] = kDecrypt ? _mm_aesdec_si128(blocks[i], key) : _mm_aesenc_si128(blocks[i], key);
      }
    }
    const __m128i last = keys_[rounds_];
    DRIVEPREP_UNROLL
    for (std::size_t i = 0; i < kCount; ++i) {
      blocks[i] =
          kDecrypt ? _mm_aesdeclast_si128(blocks[i], last) : _mm_aesenclast_si128(blocks[i], last);
    }
  }

 private:
  DRIVEPREP_AESNI void expand_128(ByteView key);
  DRIVEPREP_AESNI void expand_256(ByteView key);
  template <int kConstant>
  DRIVEPREP_AESNI void expand_pair(int at);

  // GCC drops the alignment of a bare __m128i as a template argument.
  struct alignas(16) Key {
    __m128i value;
    DRIVEPREP_AESNI operator __m128i() const { return value; }
    DRIVEPREP_AESNI Key& operator=(__m128i v) {
      value = v;
      return *this;
    }
  };
  int rounds_;
  std::array<Key, 15> keys_;
};

}  // namespace driveprep::bitlocker::aesni

#endif

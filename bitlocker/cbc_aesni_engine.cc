// AES-CBC, one chain a sector, with the AES instructions of x86 processors. Encryption, where a
// chain cannot go faster than the latency of AES, advances eight sectors together; decryption takes
// eight blocks of a sector at a time.
#include <algorithm>

#include "bitlocker/aesni.h"
#include "bitlocker/sector_engine.h"

#if defined(__x86_64__)

namespace driveprep::bitlocker {
namespace {

using aesni::kBlock;
using aesni::kWide;
using aesni::load;
using aesni::RoundKeys;
using aesni::store;

// As many chains already fill the AES unit of some processors: fewer sectors are not worth eight.
constexpr std::size_t kFew = 4;

class CbcAesNiEngine : public SectorEngine {
 public:
  CbcAesNiEngine(ByteView key, SectorSize sector_size)
      : encrypt_(key, false), decrypt_(key, true), sector_(sector_size.bytes()) {}

  void encrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) override {
    for (std::size_t done = 0; done < in.size();) {
      const std::size_t sectors = std::min((in.size() - done) / sector_, kWide);
      if (sectors > kFew) {
        chains<kWide>(byte_offset + done, sectors, in.data() + done, out.data() + done);
      } else {
        chains<kFew>(byte_offset + done, sectors, in.data() + done, out.data() + done);
      }
      done += sectors * sector_;
    }
  }

  DRIVEPREP_AESNI void decrypt(std::uint64_t byte_offset, ByteView in,
                               MutableByteView out) override {
    __m128i ivs[kWide];
    const std::size_t sectors = in.size() / sector_;
    for (std::size_t s = 0; s < sectors; ++s) {
      if (s % kWide == 0) make_ivs(byte_offset + s * sector_, ivs);
      decrypt_sector(ivs[s % kWide], in.data() + s * sector_, out.data() + s * sector_);
    }
  }

  std::unique_ptr<SectorEngine> clone() const override {
    return std::make_unique<CbcAesNiEngine>(*this);
  }

 private:
  // Of consecutive sectors.
  template <std::size_t kCount>
  DRIVEPREP_AESNI [[gnu::always_inline]] inline void make_ivs(std::uint64_t byte_offset,
                                                              __m128i (&ivs)[kCount]) const {
    DRIVEPREP_UNROLL
    for (std::size_t i = 0; i < kCount; ++i) {
      ivs[i] = _mm_set_epi64x(0, static_cast<long long>(byte_offset + i * sector_));
    }
    encrypt_.transform<false>(ivs);
  }

  // Encrypts up to kLanes sectors. Lanes without a sector of their own do again what the last
  // sector's lane does; all lanes load before any stores, so that is right in place, too.
  template <std::size_t kLanes>
  DRIVEPREP_AESNI void chains(std::uint64_t byte_offset, std::size_t sectors, const std::byte* in,
                              std::byte* out) const {
    __m128i chain[kLanes];
    make_ivs(byte_offset, chain);
    std::size_t position[kLanes];
    for (std::size_t i = 0; i < kLanes; ++i) {
      position[i] = std::min(i, sectors - 1) * sector_;
      if (i >= sectors) chain[i] = chain[sectors - 1];
    }
    for (std::size_t at = 0; at < sector_; at += kBlock) {
      DRIVEPREP_UNROLL
      for (std::size_t i = 0; i < kLanes; ++i) {
        chain[i] = _mm_xor_si128(chain[i], load(in + position[i] + at));
      }
      encrypt_.transform<false>(chain);
      DRIVEPREP_UNROLL
      for (std::size_t i = 0; i < kLanes; ++i) store(out + position[i] + at, chain[i]);
    }
  }

  DRIVEPREP_AESNI void decrypt_sector(__m128i before, const std::byte* in, std::byte* out) const {
    for (std::size_t at = 0; at < sector_; at += kWide * kBlock) {
      __m128i blocks[kWide];
      DRIVEPREP_UNROLL
      for (std::size_t i = 0; i < kWide; ++i) blocks[i] = load(in + at + i * kBlock);
      const __m128i last = blocks[kWide - 1];
      decrypt_.transform<true>(blocks);
      // Backwards, because in place the ciphertext of the block before is still needed.
      DRIVEPREP_UNROLL
      for (std::size_t i = kWide - 1; i > 0; --i) {
        const __m128i previous = load(in + at + (i - 1) * kBlock);
        store(out + at + i * kBlock, _mm_xor_si128(blocks[i], previous));
      }
      store(out + at, _mm_xor_si128(blocks[0], before));
      before = last;
    }
  }

  RoundKeys encrypt_;
  RoundKeys decrypt_;
  std::size_t sector_;
};

}  // namespace

std::unique_ptr<SectorEngine> make_cbc_aesni_engine(ByteView key, SectorSize sector_size) {
  if (!aesni::available()) return nullptr;
  return std::make_unique<CbcAesNiEngine>(key, sector_size);
}

}  // namespace driveprep::bitlocker

#else

namespace driveprep::bitlocker {

std::unique_ptr<SectorEngine> make_cbc_aesni_engine(ByteView, SectorSize) { return nullptr; }

}  // namespace driveprep::bitlocker

#endif

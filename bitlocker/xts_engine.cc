// XTS-AES: C = AES(k1, P ^ T) ^ T with T = AES(k2, sector number) doubled for each further block.
#include <algorithm>
#include <array>
#include <bit>

#include "bitlocker/aes_block.h"
#include "bitlocker/aes_ecb.h"
#include "bitlocker/sector_engine.h"

namespace driveprep::bitlocker {
namespace {

// Tweaks of one batch. 8 KiB of them beside 8 KiB of data stay in a first-level cache of 32 KiB.
constexpr std::size_t kBatch = 8192;

// Multiplication by x in GF(2^128) modulo x^128 + x^7 + x^2 + x + 1.
inline Block doubled(Block t) {
  using Signed [[gnu::vector_size(16)]] = std::int32_t;
  // Both top bits, each spread over the 64-bit half that it is carried into.
  const Signed words = std::bit_cast<Signed>(t);
  const Signed tops = __builtin_shufflevector(words, words, 3, 3, 1, 1) >> 31;
  return (t + t) ^ (std::bit_cast<Block>(tops) & Block{0x87, 1});
}

class XtsEngine : public SectorEngine {
 public:
  XtsEngine(ByteView fvek, SectorSize sector_size)
      : encrypt_(fvek.first(fvek.size() / 2), AesEcb::Direction::kEncrypt),
        decrypt_(fvek.first(fvek.size() / 2), AesEcb::Direction::kDecrypt),
        tweak_(fvek.subspan(fvek.size() / 2), AesEcb::Direction::kEncrypt),
        sector_(sector_size.bytes()) {}

  void encrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) override {
    run(encrypt_, byte_offset, in, out);
  }
  void decrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) override {
    run(decrypt_, byte_offset, in, out);
  }
  std::unique_ptr<SectorEngine> clone() const override {
    return std::make_unique<XtsEngine>(*this);
  }

 private:
  void run(AesEcb& data_key, std::uint64_t byte_offset, ByteView in, MutableByteView out) {
    for (std::size_t done = 0; done < in.size();) {
      const std::size_t count = std::min(kBatch, in.size() - done);
      batch(data_key, (byte_offset + done) / sector_, in.subspan(done, count),
            out.subspan(done, count));
      done += count;
    }
  }

  void batch(AesEcb& data_key, std::uint64_t first_sector, ByteView in, MutableByteView out) {
    const std::size_t sectors = in.size() / sector_;
    std::array<std::byte, kBatch / 512 * kAesBlock> seeds;
    for (std::size_t s = 0; s < sectors; ++s) {
      store_block(&seeds[s * kAesBlock], Block{first_sector + s, 0});
    }
    const MutableByteView used = std::span(seeds).first(sectors * kAesBlock);
    tweak_.transform(used, used);

    // Block by block over all sectors: the doublings of one sector are a chain, those of different
    // sectors overlap.
    for (std::size_t at = 0; at < sector_; at += kAesBlock) {
      for (std::size_t s = 0; s < sectors; ++s) {
        const std::size_t position = s * sector_ + at;
        const Block tweak = load_block(&seeds[s * kAesBlock]);
        store_block(&tweaks_[position], tweak);
        store_block(&out[position], load_block(&in[position]) ^ tweak);
        store_block(&seeds[s * kAesBlock], doubled(tweak));
      }
    }
    data_key.transform(out, out);
    for (std::size_t at = 0; at < out.size(); at += kAesBlock) {
      store_block(&out[at], load_block(&out[at]) ^ load_block(&tweaks_[at]));
    }
  }

  AesEcb encrypt_;
  AesEcb decrypt_;
  AesEcb tweak_;
  std::size_t sector_;
  alignas(64) std::array<std::byte, kBatch> tweaks_;
};

}  // namespace

std::unique_ptr<SectorEngine> make_xts_engine(ByteView fvek, SectorSize sector_size) {
  return std::make_unique<XtsEngine>(fvek, sector_size);
}

}  // namespace driveprep::bitlocker

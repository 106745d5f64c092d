// AES-CBC with one chain a sector and IV = AES(key, byte offset).
#include <algorithm>
#include <array>

#include "bitlocker/aes_block.h"
#include "bitlocker/aes_ecb.h"
#include "bitlocker/sector_engine.h"

namespace driveprep::bitlocker {
namespace {

// Encryption is a chain inside a sector: this many sectors advance together, a block each a step.
constexpr std::size_t kLanes = 32;
// Decryption works on batches that stay in the first-level cache.
constexpr std::size_t kBatch = 8192;

class CbcEngine : public SectorEngine {
 public:
  CbcEngine(ByteView key, SectorSize sector_size)
      : encrypt_(key, AesEcb::Direction::kEncrypt),
        decrypt_(key, AesEcb::Direction::kDecrypt),
        sector_(sector_size.bytes()) {}

  void encrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) override {
    for (std::size_t done = 0; done < in.size();) {
      const std::size_t count = std::min(kLanes * sector_, in.size() - done);
      encrypt_lanes(byte_offset + done, in.subspan(done, count), out.subspan(done, count));
      done += count;
    }
  }

  void decrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) override {
    for (std::size_t done = 0; done < in.size();) {
      const std::size_t count = std::min(kBatch, in.size() - done);
      decrypt_batch(byte_offset + done, in.subspan(done, count), out.subspan(done, count));
      done += count;
    }
  }

  std::unique_ptr<SectorEngine> clone() const override {
    return std::make_unique<CbcEngine>(*this);
  }

 private:
  using Lanes = std::array<std::byte, kLanes * kAesBlock>;

  MutableByteView make_ivs(std::uint64_t byte_offset, std::size_t sectors, Lanes& lanes) {
    for (std::size_t s = 0; s < sectors; ++s) {
      store_block(&lanes[s * kAesBlock], Block{byte_offset + s * sector_, 0});
    }
    const MutableByteView used = std::span(lanes).first(sectors * kAesBlock);
    encrypt_.transform(used, used);
    return used;
  }

  void encrypt_lanes(std::uint64_t byte_offset, ByteView in, MutableByteView out) {
    const std::size_t sectors = in.size() / sector_;
    Lanes lanes;  // the last ciphertext block of each sector, at first its IV
    const MutableByteView used = make_ivs(byte_offset, sectors, lanes);
    for (std::size_t at = 0; at < sector_; at += kAesBlock) {
      for (std::size_t s = 0; s < sectors; ++s) {
        std::byte* lane = &lanes[s * kAesBlock];
        store_block(lane, load_block(lane) ^ load_block(&in[s * sector_ + at]));
      }
      encrypt_.transform(used, used);
      for (std::size_t s = 0; s < sectors; ++s) {
        store_block(&out[s * sector_ + at], load_block(&lanes[s * kAesBlock]));
      }
    }
  }

  void decrypt_batch(std::uint64_t byte_offset, ByteView in, MutableByteView out) {
    const std::size_t sectors = in.size() / sector_;
    Lanes ivs;
    make_ivs(byte_offset, sectors, ivs);
    decrypt_.transform(in, std::span(plain_).first(in.size()));
    for (std::size_t s = sectors; s-- > 0;) {
      // Backwards, because in place the ciphertext of the block before is still needed.
      for (std::size_t at = sector_ - kAesBlock; at > 0; at -= kAesBlock) {
        const std::size_t position = s * sector_ + at;
        store_block(&out[position],
                    load_block(&plain_[position]) ^ load_block(&in[position - kAesBlock]));
      }
      store_block(&out[s * sector_],
                  load_block(&plain_[s * sector_]) ^ load_block(&ivs[s * kAesBlock]));
    }
  }

  AesEcb encrypt_;
  AesEcb decrypt_;
  std::size_t sector_;
  alignas(64) std::array<std::byte, kBatch> plain_;
};

}  // namespace

std::unique_ptr<SectorEngine> make_cbc_engine(ByteView key, SectorSize sector_size) {
  return std::make_unique<CbcEngine>(key, sector_size);
}

}  // namespace driveprep::bitlocker

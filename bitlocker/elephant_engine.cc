// CBC with the Elephant diffuser of Windows Vista and 7, for reading.
//
// Decryption of a sector: CBC, diffuser B, diffuser A, XOR with the sector key repeated. The sector
// key is AES(k2, offset) followed by AES(k2, offset with 0x80 in its last byte).
#include <array>
#include <bit>
#include <utility>
#include <vector>

#include "bitlocker/aes_block.h"
#include "bitlocker/aes_ecb.h"
#include "bitlocker/sector_engine.h"

namespace driveprep::bitlocker {
namespace {

constexpr int kCyclesA = 5;
constexpr int kCyclesB = 3;
constexpr std::array<int, 4> kRotationsA = {9, 0, 13, 0};
constexpr std::array<int, 4> kRotationsB = {0, 10, 0, 25};

// The diffusers see the sector as 32-bit little-endian words on a ring of a power of two.
using Words = std::vector<std::uint32_t>;

void undo_diffuser_b(Words& d) {
  const std::size_t mask = d.size() - 1;
  for (int cycle = 0; cycle < kCyclesB; ++cycle) {
    for (std::size_t i = 0; i < d.size(); ++i) {
      d[i] += d[(i + 2) & mask] ^ std::rotl(d[(i + 5) & mask], kRotationsB[i % 4]);
    }
  }
}

void undo_diffuser_a(Words& d) {
  const std::size_t mask = d.size() - 1;
  for (int cycle = 0; cycle < kCyclesA; ++cycle) {
    for (std::size_t i = 0; i < d.size(); ++i) {
      d[i] += d[(i - 2) & mask] ^ std::rotl(d[(i - 5) & mask], kRotationsA[i % 4]);
    }
  }
}

class ElephantEngine : public SectorEngine {
 public:
  ElephantEngine(std::unique_ptr<SectorEngine> cbc, ByteView sector_key, SectorSize sector_size)
      : cbc_(std::move(cbc)),
        sector_key_(sector_key, AesEcb::Direction::kEncrypt),
        words_(sector_size.bytes() / sizeof(std::uint32_t)),
        sector_(sector_size.bytes()) {}
  ElephantEngine(const ElephantEngine& other)
      : SectorEngine(),
        cbc_(other.cbc_->clone()),
        sector_key_(other.sector_key_),
        words_(other.words_.size()),
        sector_(other.sector_) {}
  ElephantEngine& operator=(const ElephantEngine&) = delete;

  void encrypt(std::uint64_t, ByteView, MutableByteView) override {
    internal_error("volumes with the Elephant diffuser are only read");
  }

  void decrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) override {
    cbc_->decrypt(byte_offset, in, out);
    for (std::size_t done = 0; done < out.size(); done += sector_) {
      undo_diffusers(byte_offset + done, out.subspan(done, sector_));
    }
  }

  std::unique_ptr<SectorEngine> clone() const override {
    return std::make_unique<ElephantEngine>(*this);
  }

 private:
  void undo_diffusers(std::uint64_t byte_offset, MutableByteView sector) {
    std::memcpy(words_.data(), sector.data(), sector.size());
    undo_diffuser_b(words_);
    undo_diffuser_a(words_);
    std::memcpy(sector.data(), words_.data(), sector.size());

    constexpr std::uint64_t kSecondHalf = 0x80ull << 56;
    std::array<std::byte, 2 * kAesBlock> key;
    store_block(&key[0], Block{byte_offset, 0});
    store_block(&key[kAesBlock], Block{byte_offset, kSecondHalf});
    sector_key_.transform(key, key);
    for (std::size_t at = 0; at < sector.size(); at += kAesBlock) {
      const Block mask = load_block(&key[at % key.size()]);
      store_block(&sector[at], load_block(&sector[at]) ^ mask);
    }
  }

  std::unique_ptr<SectorEngine> cbc_;
  AesEcb sector_key_;
  Words words_;
  std::size_t sector_;
};

}  // namespace

std::unique_ptr<SectorEngine> make_elephant_engine(std::unique_ptr<SectorEngine> cbc,
                                                   ByteView sector_key, SectorSize sector_size) {
  return std::make_unique<ElephantEngine>(std::move(cbc), sector_key, sector_size);
}

}  // namespace driveprep::bitlocker

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

#include "bitlocker/sector_engine.h"
#include "test_tools.h"

namespace driveprep::bitlocker {
namespace {

constexpr std::size_t kLongestRun = 70;  // sectors: all batches of both engines, and what is left

Bytes evp(const EVP_CIPHER* mode, ByteView key, const std::byte* iv, ByteView plain) {
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(
      EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  Bytes out(plain.size());
  int length = 0;
  REQUIRE(EVP_EncryptInit_ex(context.get(), mode, nullptr, uchars(key),
                             iv == nullptr ? nullptr : uchars(ByteView(iv, 16))) == 1);
  REQUIRE(EVP_CIPHER_CTX_set_padding(context.get(), 0) == 1);
  REQUIRE(EVP_EncryptUpdate(context.get(), uchars(MutableByteView(out)), &length, uchars(plain),
                            static_cast<int>(plain.size())) == 1);
  REQUIRE(length == static_cast<int>(plain.size()));
  return out;
}

// Sector by sector through libcrypto's own mode.
Bytes reference(ByteView key, std::uint64_t start, std::size_t sector, ByteView plain) {
  const bool long_key = key.size() == 32;
  Bytes sealed;
  for (std::size_t at = 0; at < plain.size(); at += sector) {
    std::array<std::byte, 16> offset{};
    for (std::size_t i = 0; i < 8; ++i) {
      offset[i] = static_cast<std::byte>((start + at) >> 8 * i & 0xFF);
    }
    const Bytes iv = evp(long_key ? EVP_aes_256_ecb() : EVP_aes_128_ecb(), key, nullptr, offset);
    const Bytes one = evp(long_key ? EVP_aes_256_cbc() : EVP_aes_128_cbc(), key, iv.data(),
                          plain.subspan(at, sector));
    sealed.insert(sealed.end(), one.begin(), one.end());
  }
  return sealed;
}

// Bytes at any alignment between two margins.
class Placed {
 public:
  Placed(std::size_t alignment, std::size_t size)
      : begin_(kMargin + alignment), size_(size), memory_(begin_ + size + kMargin, kUntouched) {}
  Placed(std::size_t alignment, ByteView content) : Placed(alignment, content.size()) {
    std::ranges::copy(content, view().begin());
  }
  MutableByteView view() { return MutableByteView(memory_).subspan(begin_, size_); }
  bool margins_are_untouched() const {
    const auto all = ByteView(memory_);
    const auto untouched = [](std::byte b) { return b == kUntouched; };
    return std::ranges::all_of(all.first(begin_), untouched) &&
           std::ranges::all_of(all.subspan(begin_ + size_), untouched);
  }

 private:
  static constexpr std::size_t kMargin = 64;
  static constexpr std::byte kUntouched{0xEE};
  std::size_t begin_;
  std::size_t size_;
  Bytes memory_;
};

struct Case {
  std::size_t key_size;
  std::size_t sector;
  std::uint64_t start;
};

void check_runs(SectorEngine& engine, const Case& c) {
  const Bytes key = pattern(c.key_size, 77);
  const Bytes all_plain = pattern(kLongestRun * c.sector, c.key_size);
  const Bytes all_sealed = reference(key, c.start, c.sector, all_plain);
  for (std::size_t sectors = 1; sectors <= kLongestRun; ++sectors) {
    INFO(sectors << " sectors of " << c.sector << " at " << c.start << ", AES-" << 8 * c.key_size);
    const ByteView plain = ByteView(all_plain).first(sectors * c.sector);
    const ByteView sealed = ByteView(all_sealed).first(sectors * c.sector);
    const std::size_t from = sectors % 16;
    const std::size_t to = sectors * 5 % 16;

    Placed plain_in(from, plain);
    Placed sealed_out(to, plain.size());
    engine.encrypt(c.start, plain_in.view(), sealed_out.view());
    CHECK(same(sealed_out.view(), sealed));
    CHECK(sealed_out.margins_are_untouched());
    CHECK(same(plain_in.view(), plain));

    Placed plain_out(from, plain.size());
    engine.decrypt(c.start, sealed_out.view(), plain_out.view());
    CHECK(same(plain_out.view(), plain));
    CHECK(plain_out.margins_are_untouched());
    CHECK(same(sealed_out.view(), sealed));

    Placed in_place(to, plain);
    engine.encrypt(c.start, in_place.view(), in_place.view());
    CHECK(same(in_place.view(), sealed));
    engine.decrypt(c.start, in_place.view(), in_place.view());
    CHECK(same(in_place.view(), plain));
    CHECK(in_place.margins_are_untouched());
  }
}

using MakeEngine = std::unique_ptr<SectorEngine> (*)(ByteView, SectorSize);

void check_engine(MakeEngine make) {
  for (const std::size_t key_size : {16, 32}) {
    for (const std::size_t sector : {512, 4096}) {
      // The second one carries from the low 32 bits of the offset into the high ones.
      for (const std::uint64_t start : {std::uint64_t{0}, (std::uint64_t{1} << 32) - 3 * sector}) {
        const auto engine = make(pattern(key_size, 77), SectorSize(sector));
        check_runs(*engine, {key_size, sector, start});
      }
    }
  }
}

TEST_CASE("the portable CBC engine equals libcrypto's mode sector by sector") {
  check_engine(make_cbc_engine);
}

TEST_CASE("the CBC engine with AES instructions equals libcrypto's mode sector by sector") {
  if (make_cbc_aesni_engine(pattern(16), SectorSize(512)) == nullptr) {
    WARN("skipped: this processor has no AES instructions");
    return;
  }
  check_engine(make_cbc_aesni_engine);
}

TEST_CASE("a cloned CBC engine has the same keys and needs nothing of the first one") {
  for (const MakeEngine make : {make_cbc_engine, make_cbc_aesni_engine}) {
    auto first = make(pattern(32, 77), SectorSize(512));
    if (first == nullptr) {
      WARN("skipped: this processor has no AES instructions");
      continue;
    }
    const auto second = first->clone();
    first.reset();
    check_runs(*second, {32, 512, 0});
  }
}

}  // namespace
}  // namespace driveprep::bitlocker

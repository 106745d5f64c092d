#include "bitlocker/sector_cipher.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <thread>

#include "bitlocker/sector_engine.h"
#include "test_tools.h"

namespace driveprep::bitlocker {
namespace {

const Cipher kWritable[] = {Cipher::kXtsAes128, Cipher::kXtsAes256, Cipher::kAesCbc128,
                            Cipher::kAesCbc256};

SecretBytes key_for(Cipher cipher) {
  return SecretBytes::copy_of(ByteView(pattern(fvek_size(cipher), 77)));
}

// One sector through libcrypto's own modes: a second implementation to compare with.
Bytes reference(Cipher cipher, const SecretBytes& key, std::uint64_t offset, std::size_t sector,
                ByteView plain) {
  const bool long_key = cipher == Cipher::kXtsAes256 || cipher == Cipher::kAesCbc256;
  std::array<std::byte, 16> iv{};
  const std::uint64_t number = is_xts(cipher) ? offset / sector : offset;
  for (std::size_t i = 0; i < 8; ++i) iv[i] = static_cast<std::byte>(number >> 8 * i);
  const auto run = [&](const EVP_CIPHER* evp, ByteView in, const std::byte* use_iv) {
    Bytes out(in.size());
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    int length = 0;
    REQUIRE(EVP_EncryptInit_ex(context, evp, nullptr, uchars(key.span()),
                               use_iv == nullptr ? nullptr : uchars(ByteView(use_iv, 16))) == 1);
    EVP_CIPHER_CTX_set_padding(context, 0);
    REQUIRE(EVP_EncryptUpdate(context, uchars(MutableByteView(out)), &length, uchars(in),
                              static_cast<int>(in.size())) == 1);
    EVP_CIPHER_CTX_free(context);
    return out;
  };
  if (is_xts(cipher))
    return run(long_key ? EVP_aes_256_xts() : EVP_aes_128_xts(), plain, iv.data());
  const Bytes sealed_iv = run(long_key ? EVP_aes_256_ecb() : EVP_aes_128_ecb(), iv, nullptr);
  return run(long_key ? EVP_aes_256_cbc() : EVP_aes_128_cbc(), plain, sealed_iv.data());
}

TEST_CASE("the first relocated sector of Windows volumes decrypts and encrypts to what is there") {
  struct Vector {
    Cipher cipher;
    std::uint64_t sector;
    const char* key;
    const char* ciphertext;
    const char* plaintext;
  };
  const char* const kNtfs512 = "eb52904e544653202020200002080000";
  const char* const kNtfs4096 = "eb52904e544653202020200010010000";
  const Vector vectors[] = {
      {Cipher::kXtsAes128, 512, "cc493ad40376cf719d3725073d5c1a6ca5759fc4ad179c95572f16c01a260d66",
       "e90bf7ec3a2eb1f74533d6b88d7ab8fa", kNtfs512},
      {Cipher::kXtsAes256, 512,
       "544548decfcfcfe0ab56d62aa7bd79aa35c9bab3c1d6a1a61dd7dd369e105523"
       "ae0d610d632d3148ce2005f2dec0a49ead19e8806f6c40bcf8482df51e9fe408",
       "c458b2b96953d36efadefdaaf4e30814", kNtfs512},
      {Cipher::kAesCbc128, 512, "6c96f82a942e875f029c3dd9e4351773",
       "ae813fac8aee8d6ec26bff8765e8fd0d", kNtfs512},
      {Cipher::kAesCbc256, 512, "9c3c73a4ad15acccc5020c4100f5c27083664965079cf6b9de1854a176f066ee",
       "95ec37c92cf8911ddd17a5178a5634ec", kNtfs512},
      {Cipher::kXtsAes128, 4096, "287018615ea30a9b6fb694977e5070780610eb6d729184eee2ddedc6f1c36f54",
       "580ca53b1f0698e53c480468495b4d55", kNtfs4096},
      {Cipher::kAesCbc128, 4096, "7aaffb2121b4149688358f5cf21bca2d",
       "9b1168b6221a4d94557c33b35783af79", kNtfs4096},
  };
  for (const Vector& v : vectors) {
    INFO(to_string(v.cipher) << " " << v.sector);
    const SectorCipher cipher(v.cipher, secret_hex(v.key), SectorSize(v.sector));
    Bytes sector(v.sector);
    Bytes out(v.sector);
    std::ranges::copy(unhex(v.ciphertext), sector.begin());
    cipher.decrypt(0x21A5000, sector, out);
    CHECK(hex_lower(ByteView(out).first(16)) == v.plaintext);
    std::ranges::copy(unhex(v.plaintext), sector.begin());
    cipher.encrypt(0x21A5000, sector, out);
    CHECK(hex_lower(ByteView(out).first(16)) == v.ciphertext);
  }
}

TEST_CASE("runs of any length equal libcrypto's modes sector by sector, in place and beside") {
  for (const Cipher method : kWritable) {
    for (const std::uint64_t sector : {512, 4096}) {
      const SectorCipher cipher(method, key_for(method), SectorSize(sector));
      // Below and above 2^32 sectors, and around the batches.
      for (const std::uint64_t start : std::initializer_list<std::uint64_t>{
               0, 12345 * sector, (std::uint64_t{1} << 44) - sector}) {
        for (const std::size_t sectors : {1, 2, 15, 16, 17, 31, 32, 33, 100}) {
          INFO(to_string(method) << ", " << sectors << " of " << sector << " at " << start);
          const Bytes plain = pattern(sectors * sector, sectors);
          Bytes expected;
          for (std::size_t s = 0; s < sectors; ++s) {
            const Bytes one = reference(method, key_for(method), start + s * sector, sector,
                                        ByteView(plain).subspan(s * sector, sector));
            expected.insert(expected.end(), one.begin(), one.end());
          }
          Bytes beside(plain.size());
          cipher.encrypt(start, plain, beside);
          CHECK(same(beside, expected));
          Bytes in_place = plain;
          cipher.encrypt(start, in_place, in_place);
          CHECK(same(in_place, expected));
          cipher.decrypt(start, expected, beside);
          CHECK(same(beside, plain));
          cipher.decrypt(start, in_place, in_place);
          CHECK(same(in_place, plain));
        }
      }
    }
  }
}

TEST_CASE("the portable XTS engine gives the same as the one that is used") {
  for (const Cipher method : {Cipher::kXtsAes128, Cipher::kXtsAes256}) {
    for (const std::uint64_t sector : {512, 4096}) {
      const SectorCipher cipher(method, key_for(method), SectorSize(sector));
      const auto portable = make_xts_engine(key_for(method).span(), SectorSize(sector));
      for (const std::size_t sectors : {1, 3, 16, 17, 64}) {
        const std::uint64_t start = 987654321 * sector;
        const Bytes plain = pattern(sectors * sector, sectors);
        Bytes expected(plain.size());
        Bytes out(plain.size());
        cipher.encrypt(start, plain, expected);
        portable->encrypt(start, plain, out);
        CHECK(same(out, expected));
        portable->decrypt(start, out, out);
        CHECK(same(out, plain));
        CHECK(portable->clone() != nullptr);
      }
    }
  }
}

TEST_CASE("several threads share one cipher") {
  const SectorCipher cipher(Cipher::kXtsAes256, key_for(Cipher::kXtsAes256), SectorSize(512));
  const Bytes plain = pattern(64 * 1024);
  Bytes expected(plain.size());
  cipher.encrypt(0, plain, expected);
  std::vector<std::thread> threads;
  std::array<bool, 4> good{};
  for (std::size_t t = 0; t < good.size(); ++t) {
    threads.emplace_back([&, t] {
      good[t] = true;
      Bytes out(plain.size());
      for (int i = 0; i < 50; ++i) {
        cipher.encrypt(0, plain, out);
        good[t] = good[t] && out == expected;
        cipher.decrypt(0, out, out);
        good[t] = good[t] && out == plain;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const bool g : good) CHECK(g);
}

TEST_CASE("keys that do not fit the cipher are refused") {
  CHECK(error_code([] {
          SectorCipher(Cipher::kXtsAes256, SecretBytes::random(32), SectorSize(512));
        }) == "fvek-size");
  SecretBytes halves(64);
  CHECK(error_code([&] { SectorCipher(Cipher::kXtsAes256, std::move(halves), SectorSize(512)); }) ==
        "fvek-weak");
}

TEST_CASE("only whole sectors are transformed, and nothing is encrypted with the diffuser") {
  const SectorCipher cipher(Cipher::kAesCbc128, key_for(Cipher::kAesCbc128), SectorSize(512));
  Bytes buffer(1024);
  CHECK_THROWS_AS(cipher.encrypt(1, buffer, buffer), Error);
  CHECK_THROWS_AS(
      cipher.decrypt(0, ByteView(buffer).first(511), MutableByteView(buffer).first(511)), Error);
  const SectorCipher old(Cipher::kAesCbc256Elephant, key_for(Cipher::kAesCbc256Elephant),
                         SectorSize(512));
  CHECK_THROWS_AS(old.encrypt(0, buffer, buffer), Error);
}

TEST_CASE("cipher names") {
  for (const Cipher cipher : kWritable) CHECK(cipher_from_name(to_string(cipher)) == cipher);
  CHECK_FALSE(cipher_from_name("aes-cbc-128-elephant"));
  CHECK_FALSE(cipher_from_name("XTS-AES-256"));
  CHECK(cipher_from_method(0x8005) == Cipher::kXtsAes256);
  CHECK_FALSE(cipher_from_method(0x8006));
  CHECK_FALSE(cipher_from_method(0));
}

}  // namespace
}  // namespace driveprep::bitlocker

// How fast sectors are encrypted and decrypted on one core, as JSON for tests/bench/run:
//
//    sector_cipher_bench SECONDS
//
// {"xts-aes-128 encrypt": {"ours": BYTES_PER_SECOND}, ..., "aes-cbc-256 decrypt": {..., "evp":
// ...}}
//
// "ours" is SectorCipher over runs of 1 MiB of 512-byte sectors, in place. "evp" is what a program
// does that takes libcrypto's CBC for one sector after the other: a new IV, then the sector; the
// IVs are not even computed. Both take turns of 10 ms, and the median turn counts: SECONDS is the
// time of all turns of one figure.
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "bitlocker/sector_cipher.h"

namespace driveprep::bitlocker {
namespace {

constexpr std::size_t kRun = kMiB;
constexpr std::size_t kSector = 512;
constexpr double kTurn = 0.010;

using Bytes = std::vector<std::byte>;
using Pass = std::function<void(Bytes&)>;  // over one run, in place

double one_turn(const Pass& pass, Bytes& data) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  double seconds = 0;
  std::size_t passes = 0;
  do {
    pass(data);
    ++passes;
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
  } while (seconds < kTurn);
  return static_cast<double>(passes * kRun) / seconds;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

SecretBytes key_for(Cipher cipher) {
  SecretBytes key(fvek_size(cipher));
  for (std::size_t i = 0; i < key.size(); ++i) key.span()[i] = static_cast<std::byte>(7 * i + 1);
  return key;
}

Pass ours(Cipher cipher, bool encrypt) {
  const auto sectors = std::make_shared<SectorCipher>(cipher, key_for(cipher), SectorSize(kSector));
  return [sectors, encrypt, offset = std::uint64_t{0}](Bytes& data) mutable {
    encrypt ? sectors->encrypt(offset, data, data) : sectors->decrypt(offset, data, data);
    offset += data.size();
  };
}

Pass sector_by_sector(Cipher cipher, bool encrypt) {
  const std::shared_ptr<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  const SecretBytes key = key_for(cipher);
  const EVP_CIPHER* mode = key.size() == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
  const auto begin = encrypt ? EVP_EncryptInit_ex : EVP_DecryptInit_ex;
  const auto update = encrypt ? EVP_EncryptUpdate : EVP_DecryptUpdate;
  const std::array<unsigned char, 16> no_iv{};
  require(begin(context.get(), mode, nullptr, uchars(key.span()), no_iv.data()) == 1 &&
              EVP_CIPHER_CTX_set_padding(context.get(), 0) == 1,
          "AES key setup failed in libcrypto");
  return [context, begin, update](Bytes& data) {
    std::array<unsigned char, 16> iv{};
    for (std::size_t at = 0; at < data.size(); at += kSector) {
      const MutableByteView sector = std::span(data).subspan(at, kSector);
      ++iv[at / kSector % iv.size()];
      int length = 0;
      require(begin(context.get(), nullptr, nullptr, nullptr, iv.data()) == 1 &&
                  update(context.get(), uchars(sector), &length, uchars(ByteView(sector)),
                         static_cast<int>(kSector)) == 1 &&
                  length == static_cast<int>(kSector),
              "AES failed in libcrypto");
    }
  };
}

void measure(double seconds) {
  const auto turns = std::max<std::size_t>(3, static_cast<std::size_t>(seconds / kTurn));
  Bytes data(kRun, std::byte{0x5A});
  const char* separator = "{";
  for (const Cipher cipher :
       {Cipher::kXtsAes128, Cipher::kXtsAes256, Cipher::kAesCbc128, Cipher::kAesCbc256}) {
    for (const bool encrypt : {true, false}) {
      const Pass mine = ours(cipher, encrypt);
      const Pass evp = is_xts(cipher) ? Pass() : sector_by_sector(cipher, encrypt);
      std::vector<double> my_rates;
      std::vector<double> evp_rates;
      for (std::size_t turn = 0; turn < turns; ++turn) {
        my_rates.push_back(one_turn(mine, data));
        if (evp) evp_rates.push_back(one_turn(evp, data));
      }
      std::cout << separator << '"' << to_string(cipher) << (encrypt ? " encrypt" : " decrypt")
                << "\": {\"ours\": " << median(my_rates);
      if (evp) std::cout << ", \"evp\": " << median(evp_rates);
      std::cout << '}';
      separator = ",\n ";
    }
  }
  std::cout << "}\n";
}

}  // namespace
}  // namespace driveprep::bitlocker

int main(int count, char** words) {
  driveprep::bitlocker::measure(count > 1 ? std::atof(words[1]) : 1.0);
}

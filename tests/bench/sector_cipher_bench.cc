// How fast sectors are encrypted and decrypted on one core, as JSON for tests/bench/run:
//
//    sector_cipher_bench SECONDS CIPHER
//
// {"encrypt": {"ours": BYTES_PER_SECOND}, "decrypt": {"ours": ...}}, and for CBC in each also
// "sectors" and "run", {"rate": BYTES_PER_SECOND, "ratio": OURS_TO_THEIRS}.
//
// "ours" is SectorCipher over runs of 1 MiB of 512-byte sectors, in place. "sectors" is what a
// program does that takes libcrypto's CBC for one sector after the other: a new IV, then the
// sector; the IVs are not even computed. "run" is libcrypto's CBC over all of the run at once,
// which is not what a volume wants and the fastest that it can do. They take turns of 10 ms, and
// medians count: of the rates, and of the ratios of neighbouring turns. SECONDS is the time of all
// turns of one figure.
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

// libcrypto's CBC, a new IV for every `piece` bytes.
Pass evp(Cipher cipher, bool encrypt, std::size_t piece) {
  const std::shared_ptr<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  const SecretBytes key = key_for(cipher);
  const EVP_CIPHER* mode = key.size() == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
  const auto begin = encrypt ? EVP_EncryptInit_ex : EVP_DecryptInit_ex;
  const auto update = encrypt ? EVP_EncryptUpdate : EVP_DecryptUpdate;
  const std::array<unsigned char, 16> no_iv{};
  // Without padding every new IV takes libcrypto longer. Encryption gives whole blocks either way.
  require(begin(context.get(), mode, nullptr, uchars(key.span()), no_iv.data()) == 1 &&
              (encrypt || EVP_CIPHER_CTX_set_padding(context.get(), 0) == 1),
          "AES key setup failed in libcrypto");
  return [context, begin, update, piece, iv = no_iv](Bytes& data) mutable {
    for (std::size_t at = 0; at < data.size(); at += piece) {
      const MutableByteView part = std::span(data).subspan(at, piece);
      ++iv[0];
      int length = 0;
      require(begin(context.get(), nullptr, nullptr, nullptr, iv.data()) == 1 &&
                  update(context.get(), uchars(part), &length, uchars(ByteView(part)),
                         static_cast<int>(piece)) == 1 &&
                  length == static_cast<int>(piece),
              "AES failed in libcrypto");
    }
  };
}

struct Peer {
  const char* name;
  Pass pass;
  std::vector<double> rates{};
  std::vector<double> ratios{};
};

void measure(double seconds, Cipher cipher) {
  const auto turns = std::max<std::size_t>(3, static_cast<std::size_t>(seconds / kTurn));
  Bytes data(kRun, std::byte{0x5A});
  for (const bool encrypt : {true, false}) {
    const Pass mine = ours(cipher, encrypt);
    std::vector<Peer> peers;
    if (!is_xts(cipher)) {
      peers.push_back({"sectors", evp(cipher, encrypt, kSector)});
      peers.push_back({"run", evp(cipher, encrypt, kRun)});
    }
    std::vector<double> rates;
    for (std::size_t turn = 0; turn < turns; ++turn) {
      rates.push_back(one_turn(mine, data));
      for (Peer& peer : peers) {
        peer.rates.push_back(one_turn(peer.pass, data));
        peer.ratios.push_back(rates.back() / peer.rates.back());
      }
    }
    std::cout << (encrypt ? "{\"encrypt" : ",\n \"decrypt") << "\": {\"ours\": " << median(rates);
    for (const Peer& peer : peers) {
      std::cout << ", \"" << peer.name << "\": {\"rate\": " << median(peer.rates)
                << ", \"ratio\": " << median(peer.ratios) << '}';
    }
    std::cout << '}';
  }
  std::cout << "}\n";
}

}  // namespace
}  // namespace driveprep::bitlocker

int main(int count, char** words) {
  const auto cipher = driveprep::bitlocker::cipher_from_name(count == 3 ? words[2] : "");
  const double seconds = count == 3 ? std::atof(words[1]) : 0;
  if (!cipher || seconds <= 0) {
    std::cerr << "usage: sector_cipher_bench SECONDS CIPHER\n";
    return 2;
  }
  driveprep::bitlocker::measure(seconds, *cipher);
}

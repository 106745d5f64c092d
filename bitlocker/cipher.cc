#include "bitlocker/cipher.h"

#include <algorithm>
#include <array>

namespace driveprep::bitlocker {
namespace {

struct CipherFacts {
  Cipher cipher;
  std::string_view name;
  std::size_t fvek_size;
  bool writable;
};

constexpr std::array<CipherFacts, 6> kCiphers = {{
    {Cipher::kAesCbc128Elephant, "aes-cbc-128-elephant", 64, false},
    {Cipher::kAesCbc256Elephant, "aes-cbc-256-elephant", 64, false},
    {Cipher::kAesCbc128, "aes-cbc-128", 16, true},
    {Cipher::kAesCbc256, "aes-cbc-256", 32, true},
    {Cipher::kXtsAes128, "xts-aes-128", 32, true},
    {Cipher::kXtsAes256, "xts-aes-256", 64, true},
}};

const CipherFacts& facts(Cipher cipher) {
  const auto found = std::find_if(kCiphers.begin(), kCiphers.end(),
                                  [&](const CipherFacts& f) { return f.cipher == cipher; });
  require(found != kCiphers.end(), "not one of the six BitLocker ciphers");
  return *found;
}

}  // namespace

std::string_view to_string(Cipher cipher) { return facts(cipher).name; }
std::size_t fvek_size(Cipher cipher) { return facts(cipher).fvek_size; }
bool is_xts(Cipher cipher) { return cipher == Cipher::kXtsAes128 || cipher == Cipher::kXtsAes256; }
bool has_elephant_diffuser(Cipher cipher) { return !facts(cipher).writable; }

std::optional<Cipher> cipher_from_name(std::string_view name) {
  for (const CipherFacts& f : kCiphers) {
    if (f.writable && f.name == name) return f.cipher;
  }
  return std::nullopt;
}

std::optional<Cipher> cipher_from_method(std::uint16_t method) {
  for (const CipherFacts& f : kCiphers) {
    if (static_cast<std::uint16_t>(f.cipher) == method) return f.cipher;
  }
  return std::nullopt;
}

}  // namespace driveprep::bitlocker

// The low-level SHA-256 of OpenSSL is marked deprecated, yet it is the leanest there is: EVP adds
// its own bookkeeping to each of the million messages of 88 bytes.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "bitlocker/key_derivation.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <optional>

namespace driveprep::bitlocker {
namespace {

constexpr std::size_t kHashSize = 32;

SecretBytes sha256_secret(ByteView data) {
  SecretBytes hash(kHashSize);
  SHA256(uchars(data), data.size(), uchars(hash.span()));
  return hash;
}

[[noreturn]] void refuse_text() {
  throw Error(ErrorKind::kKey, "bitlocker-password-text", "the password is not valid UTF-8 text",
              "Give the password as UTF-8.");
}

// Reads one code point and advances; nullopt when the text is not well-formed.
std::optional<std::uint32_t> next_code_point(std::string_view& text) {
  const auto first = static_cast<unsigned char>(text.front());
  text.remove_prefix(1);
  if (first < 0x80) return first;
  const std::size_t more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  if (first < 0xC2 || first > 0xF4 || text.size() < more) return std::nullopt;
  std::uint32_t value = first & (0x3Fu >> more);
  for (std::size_t i = 0; i < more; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80) return std::nullopt;
    value = value << 6 | (next & 0x3Fu);
  }
  text.remove_prefix(more);
  constexpr std::uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < kSmallest[more] || value > 0x10FFFF || surrogate) return std::nullopt;
  return value;
}

// base/utf16.h would leave pieces of the password in memory that is not wiped.
SecretBytes to_utf16le(const SecretBytes& utf8) {
  SecretBytes out(2 * utf8.size());  // UTF-16 never has more units than UTF-8
  std::size_t used = 0;
  const auto put = [&](std::uint32_t unit) {
    out.span()[used++] = static_cast<std::byte>(unit & 0xFF);
    out.span()[used++] = static_cast<std::byte>(unit >> 8 & 0xFF);
  };
  for (std::string_view rest = utf8.text(); !rest.empty();) {
    const std::optional<std::uint32_t> point = next_code_point(rest);
    if (!point) refuse_text();
    if (*point < 0x10000) {
      put(*point);
    } else {
      put(0xD800 + ((*point - 0x10000) >> 10));
      put(0xDC00 + ((*point - 0x10000) & 0x3FF));
    }
  }
  out.truncate(used);
  return out;
}

}  // namespace

SecretBytes password_hash(const SecretBytes& utf8) {
  return sha256_secret(sha256_secret(to_utf16le(utf8).span()).span());
}

std::size_t password_length(const SecretBytes& utf8) { return to_utf16le(utf8).size() / 2; }

SecretBytes recovery_password_hash(const RecoveryPassword& password) {
  return sha256_secret(password.key().span());
}

SecretBytes stretch(const SecretBytes& hash, ByteView salt, std::uint64_t rounds) {
  require(hash.size() == kHashSize && salt.size() == kSaltSize, "stretching wants 32 and 16 bytes");
  // The message of a round is always 88 bytes long: with SHA-256's own padding already behind it,
  // it is two whole blocks, which go through without being buffered and finished again.
  constexpr std::size_t kCounter = 2 * kHashSize + kSaltSize;
  constexpr std::size_t kMessage = kCounter + sizeof(std::uint64_t);
  constexpr std::size_t kBlocks = 2 * SHA256_CBLOCK;
  static_assert(kMessage * 8 == 0x02C0);
  SecretBytes state(kBlocks);
  const MutableByteView bytes = state.span();
  std::copy(hash.span().begin(), hash.span().end(), bytes.begin() + kHashSize);
  std::copy(salt.begin(), salt.end(), bytes.begin() + 2 * kHashSize);
  bytes[kMessage] = std::byte{0x80};
  bytes[kBlocks - 2] = std::byte{0x02};
  bytes[kBlocks - 1] = std::byte{0xC0};

  SHA256_CTX context;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < sizeof(round); ++i) {
      bytes[kCounter + i] = static_cast<std::byte>(round >> 8 * i & 0xFF);
    }
    SHA256_Init(&context);
    SHA256_Update(&context, bytes.data(), kBlocks);
    for (std::size_t i = 0; i < kHashSize; ++i) {
      bytes[i] = static_cast<std::byte>(context.h[i / 4] >> (24 - 8 * (i % 4)) & 0xFF);
    }
  }
  OPENSSL_cleanse(&context, sizeof context);
  state.truncate(kHashSize);
  return state;
}

}  // namespace driveprep::bitlocker

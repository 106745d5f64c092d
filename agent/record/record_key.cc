#include "agent/record/record_key.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "base/directories.h"
#include "base/error.h"
#include "base/user_directories.h"
#include "keywrap/private_file.h"

namespace driveprep::record {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSeedBytes = 32;
constexpr std::size_t kMaxFileBytes = 4096;
// What stands before the seed in a PKCS#8 PrivateKeyInfo (RFC 8410). With it the key is 48 bytes:
// one full line of PEM, the same that the openssl program writes. Made here, because OpenSSL's own
// PEM functions keep a copy outside the locked memory.
constexpr std::array<unsigned char, 16> kPrivateKeyInfo = {
    0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
constexpr std::size_t kDerBytes = kPrivateKeyInfo.size() + kSeedBytes;
constexpr std::size_t kLineCharacters = kDerBytes / 3 * 4;
constexpr std::string_view kBegin = "-----BEGIN PRIVATE KEY-----\n";
constexpr std::string_view kEnd = "\n-----END PRIVATE KEY-----\n";
constexpr std::size_t kPemBytes = kBegin.size() + kLineCharacters + kEnd.size();

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
// Their private part is in the locked memory, too: OpenSSL puts it there.
using Key = std::unique_ptr<EVP_PKEY, Free>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Free>;

Key openssl_key(const SecretBytes& seed) {
  Key key(EVP_PKEY_new_raw_private_key_ex(nullptr, "ED25519", nullptr, uchars(seed.span()),
                                          seed.size()));
  require(key != nullptr, "OpenSSL takes no Ed25519 key");
  return key;
}

PublicKey public_part(const SecretBytes& seed) {
  std::array<std::byte, PublicKey::kBytes> bytes{};
  std::size_t size = bytes.size();
  require(EVP_PKEY_get_raw_public_key(openssl_key(seed).get(), uchars(MutableByteView(bytes)),
                                      &size) == 1 &&
              size == bytes.size(),
          "an Ed25519 key has no public half");
  return PublicKey(bytes);
}

SecretBytes to_pem(const SecretBytes& seed) {
  SecretBytes der(kDerBytes);
  std::memcpy(der.span().data(), kPrivateKeyInfo.data(), kPrivateKeyInfo.size());
  std::ranges::copy(seed.span(), der.span().begin() + kPrivateKeyInfo.size());
  SecretBytes pem(kPemBytes + 1);  // OpenSSL writes a zero behind the line
  const MutableByteView out = pem.span();
  std::memcpy(out.data(), kBegin.data(), kBegin.size());
  EVP_EncodeBlock(uchars(out.subspan(kBegin.size())), uchars(der.span()),
                  static_cast<int>(der.size()));
  std::memcpy(out.data() + kBegin.size() + kLineCharacters, kEnd.data(), kEnd.size());
  pem.truncate(kPemBytes);
  return pem;
}

// nullopt when it is not exactly what to_pem() makes.
std::optional<SecretBytes> seed_in(const SecretBytes& pem) {
  if (pem.size() != kPemBytes || !pem.text().starts_with(kBegin) || !pem.text().ends_with(kEnd)) {
    return std::nullopt;
  }
  SecretBytes der(kDerBytes);
  const int length = EVP_DecodeBlock(uchars(der.span()), uchars(pem.span().subspan(kBegin.size())),
                                     static_cast<int>(kLineCharacters));
  if (length != static_cast<int>(kDerBytes) ||
      std::memcmp(der.span().data(), kPrivateKeyInfo.data(), kPrivateKeyInfo.size()) != 0) {
    ERR_clear_error();
    return std::nullopt;
  }
  return SecretBytes::copy_of(ByteView(der.span()).subspan(kPrivateKeyInfo.size()));
}

// Errors of keywrap's private files speak of key stores.
template <typename Work>
auto with_own_words(const fs::path& file, Work work) {
  try {
    return work();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kKey) throw;
    const std::string_view code = error.code();
    if (code == "key-store-unsafe") {
      throw Error(ErrorKind::kKey, "record-key-unsafe", error.what(),
                  "Run as its owner. If others may have read it, remove " + file.string() +
                      ": a new key is made, and whoever knows the old one has to be told.");
    }
    if (code.starts_with("record-key-")) throw;
    throw Error(ErrorKind::kKey, "record-key-write",
                "the key that signs records cannot be read or made: " + std::string(error.what()),
                "Check " + file.parent_path().string() + " and its permissions.");
  }
}

}  // namespace

RecordKey::RecordKey(SecretBytes seed) : seed_(std::move(seed)), public_(public_part(seed_)) {}

fs::path RecordKey::default_file() {
  const auto state = user_directory("XDG_STATE_HOME", ".local/state");
  if (!state) {
    throw Error(ErrorKind::kKey, "record-key-home",
                "there is no place for the key that signs records: this user has no home directory",
                "Set XDG_STATE_HOME to a directory that is kept.");
  }
  return *state / "driveprep" / "record-key.pem";
}

std::optional<RecordKey> RecordKey::load(const fs::path& file) {
  return with_own_words(file, [&]() -> std::optional<RecordKey> {
    const auto pem = keywrap::read_private_secret(file, kMaxFileBytes);
    if (!pem) return std::nullopt;
    auto seed = seed_in(*pem);
    if (!seed) {
      throw Error(ErrorKind::kKey, "record-key-malformed",
                  file.string() + " is not an Ed25519 private key (PKCS#8, PEM, no passphrase)",
                  "Restore it, or move it away: then a new key is made.");
    }
    return RecordKey(std::move(*seed));
  });
}

RecordKey RecordKey::load_or_make(const fs::path& file) {
  if (auto key = load(file)) return std::move(*key);
  return with_own_words(file, [&] {
    create_directories_durably(file.parent_path(), ErrorKind::kKey);
    // Two runs that come at the same time sign with one key.
    const keywrap::FileLock lock(file.parent_path() / "record-key.lock");
    if (auto key = load(file)) return std::move(*key);
    RecordKey made(SecretBytes::random(kSeedBytes));
    keywrap::write_private_file(file, to_pem(made.seed_).span());
    return made;
  });
}

Signature RecordKey::sign(ByteView message) const {
  const Key key = openssl_key(seed_);
  const DigestContext context(EVP_MD_CTX_new());
  Signature signature{};
  std::size_t size = signature.size();
  require(context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
              EVP_DigestSign(context.get(), uchars(MutableByteView(signature)), &size,
                             uchars(message), message.size()) == 1 &&
              size == signature.size(),
          "an Ed25519 key does not sign");
  return signature;
}

}  // namespace driveprep::record

#include "keywrap/unlock_secret.h"

#include <openssl/evp.h>

#include <algorithm>

#include "base/ascii.h"
#include "base/error.h"
#include "keywrap/private_file.h"

namespace driveprep::keywrap {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kSaltBytes = 16;
constexpr std::size_t kHashBytes = 32;
constexpr std::size_t kLongestPassphrase = 1024;
// As for the private keys themselves. A secret of 256 random bits needs no slowing down.
constexpr int kPassphraseRounds = 600'000;
constexpr int kFileRounds = 1;

[[noreturn]] void locked_out(const std::string& what, std::string remedy) {
  throw Error(ErrorKind::kKey, "key-store-locked-out", what, std::move(remedy));
}

void drop_line_feed(SecretBytes& text) {
  if (text.text().ends_with('\n')) text.truncate(text.size() - 1);
}

bool is_hex_secret(const SecretBytes& text) {
  return text.size() == 2 * kSecretBytes && std::ranges::all_of(text.text(), [](char c) {
           return ascii::is_digit(c) || (c >= 'a' && c <= 'f');
         });
}

void require_hex_secret(const SecretBytes& text, const fs::path& file) {
  if (is_hex_secret(text)) return;
  throw Error(ErrorKind::kKey, "key-store-corrupt",
              file.string() + " is no unlock secret: it does not hold 64 hexadecimal digits",
              "Restore the unlock file that belongs to this key store.");
}

Bytes derive(const SecretBytes& secret, ByteView salt, int rounds) {
  Bytes hash(kHashBytes);
  require(PKCS5_PBKDF2_HMAC(secret.text().data(), static_cast<int>(secret.size()), uchars(salt),
                            static_cast<int>(salt.size()), rounds, EVP_sha256(),
                            static_cast<int>(hash.size()), uchars(MutableByteView(hash))) == 1,
          "PBKDF2 failed");
  return hash;
}

}  // namespace

UnlockCheck UnlockCheck::of(const SecretBytes& secret, int rounds) {
  const SecretBytes salt = SecretBytes::random(kSaltBytes);
  Bytes copy(salt.span().begin(), salt.span().end());
  Bytes hash = derive(secret, copy, rounds);
  return {std::move(copy), rounds, std::move(hash)};
}

bool UnlockCheck::matches(const SecretBytes& secret) const {
  return derive(secret, salt, rounds) == hash;
}

void check_passphrase(const SecretBytes& passphrase) {
  if (passphrase.size() >= kShortestPassphrase && passphrase.size() <= kLongestPassphrase) return;
  throw Error(ErrorKind::kKey, "key-passphrase",
              "the passphrase has " + std::to_string(passphrase.size()) + " bytes, not " +
                  std::to_string(kShortestPassphrase) + " to " + std::to_string(kLongestPassphrase),
              "Choose a longer passphrase: several words that do not belong together.");
}

UnlockCheck check_of_file(const SecretBytes& secret) {
  return UnlockCheck::of(secret, kFileRounds);
}

UnlockCheck check_of_passphrase(const SecretBytes& passphrase) {
  return UnlockCheck::of(passphrase, kPassphraseRounds);
}

SecretBytes new_unlock_text() {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const SecretBytes secret = SecretBytes::random(kSecretBytes);
  SecretBytes text(2 * kSecretBytes + 1);
  for (std::size_t i = 0; i < kSecretBytes; ++i) {
    const auto value = std::to_integer<unsigned>(secret.span()[i]);
    text.span()[2 * i] = static_cast<std::byte>(kDigits[value >> 4]);
    text.span()[2 * i + 1] = static_cast<std::byte>(kDigits[value & 15]);
  }
  text.span()[2 * kSecretBytes] = std::byte{'\n'};
  return text;
}

std::optional<SecretBytes> read_unlock_file(const fs::path& file) {
  auto text = read_private_secret(file, kLongestPassphrase);
  if (!text) return std::nullopt;
  drop_line_feed(*text);
  require_hex_secret(*text, file);
  return text;
}

UnlockSecret::UnlockSecret(fs::path store, UnlockRecord record, UnlockSources sources)
    : store_(std::move(store)), record_(std::move(record)), sources_(std::move(sources)) {
  if (record_.file.empty()) record_.file = store_ / "unlock";
}

SecretBytes UnlockSecret::from_credential(SecretBytes text) const {
  drop_line_feed(text);
  if (!record_.passphrase) require_hex_secret(text, sources_.credential);
  return text;
}

SecretBytes UnlockSecret::find(std::string& source) const {
  if (!sources_.credential.empty()) {
    if (auto text = read_credential(sources_.credential, kLongestPassphrase + 1)) {
      source = "the credential " + sources_.credential.string();
      return from_credential(std::move(*text));
    }
  }
  if (!record_.passphrase) {
    source = "the unlock secret " + record_.file.string();
    if (auto secret = read_unlock_file(record_.file)) return std::move(*secret);
    locked_out(source + " is missing", "Restore the unlock file that belongs to this key store.");
  }
  source = "this passphrase";
  if (sources_.ask_passphrase) return sources_.ask_passphrase(store_);
  locked_out("the key store " + store_.string() + " opens with a passphrase, and none was given",
             "Run the command on a terminal, or pass the passphrase as a credential.");
}

SecretBytes UnlockSecret::get() {
  const std::lock_guard guard(mutex_);
  if (!passphrase_.empty()) return passphrase_.clone();
  std::string source;
  SecretBytes secret = find(source);
  if (record_.check && !record_.check->matches(secret)) {
    locked_out(source + " does not open the key store " + store_.string(),
               record_.passphrase ? "Run the command again with the right passphrase."
                                  : "Restore the unlock file that belongs to this key store.");
  }
  if (record_.passphrase) passphrase_ = secret.clone();
  return secret;
}

}  // namespace driveprep::keywrap

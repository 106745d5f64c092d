// What opens the private keys of a local key store: where it is kept, and how one that does not fit
// is told before anything is encrypted under it.
#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/secret_bytes.h"

namespace driveprep::keywrap {

// Ways to an unlock secret besides the store's own file.
struct UnlockSources {
  // A file that the service manager passed ($CREDENTIALS_DIRECTORY/driveprep-unlock); when it
  // exists it is taken before anything else. Empty: none.
  std::filesystem::path credential = {};
  // For a store with a passphrase: gives it, or throws. Called from any thread, and once at most by
  // one store. Empty: there is nobody to ask.
  std::function<SecretBytes(const std::filesystem::path& store)> ask_passphrase = {};
};

// Tells whether a secret is the one that was chosen, without telling the secret: PBKDF2 with
// HMAC-SHA-256. Who tries passphrases gains nothing from it beside the private keys, which cost as
// many rounds.
struct UnlockCheck {
  Bytes salt;
  int rounds = 0;
  Bytes hash;

  static UnlockCheck of(const SecretBytes& secret, int rounds);
  bool matches(const SecretBytes& secret) const;
};

// What store.json says about it.
struct UnlockRecord {
  bool passphrase = false;                // else a file
  std::filesystem::path file = {};        // absolute; empty: "unlock" in the store
  std::optional<UnlockCheck> check = {};  // absent in the stores of early versions
};

// A passphrase has at least so many bytes.
inline constexpr std::size_t kShortestPassphrase = 12;
// Throws Error kKey "key-passphrase" for one that is shorter, or longer than 1024 bytes.
void check_passphrase(const SecretBytes& passphrase);

// A check for a secret of 256 random bits, or for a passphrase.
UnlockCheck check_of_file(const SecretBytes& secret);
UnlockCheck check_of_passphrase(const SecretBytes& passphrase);

// 32 random bytes as 64 hex digits and a line feed, so that `openssl pkey -passin file:` can take
// the file as it is.
SecretBytes new_unlock_text();
// The secret in such a file, nullopt when there is no file. Errors as UnlockSecret::get().
std::optional<SecretBytes> read_unlock_file(const std::filesystem::path& file);

// Safe to use from several threads.
class UnlockSecret {
 public:
  UnlockSecret(std::filesystem::path store, UnlockRecord record, UnlockSources sources);

  // Throws Error kKey: "key-store-locked-out" (missing, or not the secret of this store),
  // "key-store-corrupt" (a file that holds something else), "key-store-unsafe" (a file that others
  // can read); and what ask_passphrase throws.
  SecretBytes get();
  bool is_passphrase() const { return record_.passphrase; }

 private:
  SecretBytes from_credential(SecretBytes text) const;
  SecretBytes find(std::string& source) const;

  std::filesystem::path store_;
  UnlockRecord record_;
  UnlockSources sources_;
  std::mutex mutex_;
  SecretBytes passphrase_;  // once known
};

}  // namespace driveprep::keywrap

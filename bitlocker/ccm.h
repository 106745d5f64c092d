// AES-256-CCM as BitLocker wraps keys: 12-byte nonce, 16-byte tag, no associated data.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/file_time.h"
#include "base/secret_bytes.h"
#include "bitlocker/entry.h"

namespace driveprep::bitlocker {

// u64 FILETIME, u32 counter. A pair of key and nonce is never used twice: counters come from the
// dataset header and only go up.
struct Nonce {
  static constexpr std::size_t kSize = 12;
  FileTime time;
  std::uint32_t counter = 0;
  friend bool operator==(const Nonce&, const Nonce&) = default;
};

// A key entry as it stands inside a wrapping: 12 bytes in front of the key.
struct UnwrappedKey {
  std::uint16_t key_type = 0;
  SecretBytes key;
};

// The wrapped entry holding `key` as a key entry.
Entry wrap_key(const SecretBytes& wrapping_key, const Nonce& nonce, Role role,
               std::uint16_t key_type, const SecretBytes& key);

// The whole plaintext of a wrapped entry; nullopt when it is malformed or the tag does not fit.
std::optional<SecretBytes> unwrap(const SecretBytes& wrapping_key, const Entry& wrapped);
// The same for a key; nullopt also when the plaintext is not one key entry.
std::optional<UnwrappedKey> unwrap_key(const SecretBytes& wrapping_key, const Entry& wrapped);

// Puts an arbitrary entry's bytes under `wrapping_key`.
Entry wrap(const SecretBytes& wrapping_key, const Nonce& nonce, Role role,
           const SecretBytes& plaintext);

// nullopt unless the entry is a wrapped one.
std::optional<Nonce> nonce_of(const Entry& wrapped);

}  // namespace driveprep::bitlocker

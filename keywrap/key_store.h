// Where key-encryption keys live and do their work: the local key store, a vault, a token. Private
// keys never cross this interface.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/secret_bytes.h"

namespace driveprep::keywrap {

// Seconds since 1970-01-01 UTC, as the attributes of vault keys count.
using UnixSeconds = std::int64_t;
using Clock = std::function<UnixSeconds()>;
UnixSeconds system_clock_seconds();

// RSAES-OAEP with SHA-256 for the hash and MGF1 (RFC 7518, section 4.3): the only algorithm that
// wraps.
inline constexpr std::string_view kRsaOaep256 = "RSA-OAEP-256";

// One version of a key, as its store describes it.
struct KeyVersion {
  std::string kid;       // the full, versioned identifier
  std::string key_type;  // "RSA"
  unsigned bits = 0;     // length of the modulus
  bool enabled = false;
  std::optional<UnixSeconds> not_before;  // inclusive
  std::optional<UnixSeconds> expires;     // exclusive
  UnixSeconds created = 0;
  UnixSeconds updated = 0;
  std::string recovery_level;  // "Recoverable", ... as vaults spell it
};

// What unwrap gives. `warning` is for the operator, empty when there is none: an expired key still
// unwraps, or nothing wrapped under it could ever be read again.
struct Unwrapped {
  SecretBytes secret;
  std::string warning;
};

// Errors are of kind kKey. Codes that every store shares:
//   key-uri-invalid      the identifier is not one of this store
//   key-not-found        no such key or version
//   key-deleted          the key is deleted but can still be recovered
//   key-disabled         neither wraps nor unwraps
//   key-expired          does not wrap
//   key-not-yet-active   does not wrap
//   wrap-failed          the secret is too long for the key, or the operation failed
//   unwrap-failed        not wrapped by this key, or damaged; the reason is not told apart
// Safe to use from several threads.
class KeyStore {
 public:
  virtual ~KeyStore() = default;

  // Whether `kid` is a full identifier that belongs to this store. Touches no key.
  virtual bool owns(std::string_view kid) const = 0;
  virtual KeyVersion describe(std::string_view kid) = 0;
  // The version of the key `name` that was created last, whatever its state.
  virtual KeyVersion newest(std::string_view name) = 0;

  // RSA-OAEP-256 under exactly the version `kid` names.
  virtual Bytes wrap(std::string_view kid, const SecretBytes& secret) = 0;
  virtual Unwrapped unwrap(std::string_view kid, ByteView wrapped) = 0;
};

// The state rules that all stores share. A version wraps when it is enabled and
// not_before <= now < expires; it unwraps whenever it is enabled. Both throw the codes above.
void require_can_wrap(const KeyVersion& version, UnixSeconds now);
// The warning of Unwrapped.
std::string require_can_unwrap(const KeyVersion& version, UnixSeconds now);

}  // namespace driveprep::keywrap

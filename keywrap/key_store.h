// Where key-encryption keys live and do their work: the local key store, a vault, a token. Private
// keys never cross this interface.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/secret_bytes.h"
#include "keywrap/wrap_algorithm.h"

namespace driveprep::keywrap {

// Seconds since 1970-01-01 UTC, as the attributes of vault keys count.
using UnixSeconds = std::int64_t;
using Clock = std::function<UnixSeconds()>;
UnixSeconds system_clock_seconds();

// One version of a key, as its store describes it. What a store does not tell is absent.
struct KeyVersion {
  std::string kid;       // the full, versioned identifier
  std::string key_type;  // "RSA", "RSA-HSM", or one that is of no use: "EC", ...
  unsigned bits = 0;     // measured length of the modulus; 0 when there is none
  // What the key may be used for ("wrapKey", ...); nullopt: not restricted.
  std::optional<std::vector<std::string>> operations;
  bool enabled = false;
  std::optional<UnixSeconds> not_before;  // inclusive
  std::optional<UnixSeconds> expires;     // exclusive
  UnixSeconds created = 0;
  UnixSeconds updated = 0;
  std::string recovery_level;  // "Recoverable", ... as vaults spell it
  std::optional<unsigned> recoverable_days;
  std::string region;                // of the vault, as it spells it
  bool managed = false;              // belongs to a certificate and dies with it
  bool exportable = false;           // may leave the store under its release policy
  bool has_private_members = false;  // the description carried what should be secret
  std::string request_id;            // of the answer that told all this
};

// What unwrap gives. `warning` is for the operator, empty when there is none: an expired key still
// unwraps, or nothing wrapped under it could ever be read again.
struct Unwrapped {
  SecretBytes secret;
  std::string warning;
};

// Errors are KeyErrors. Conditions that every store shares:
//   kUriInvalid         the identifier is not one of this store
//   kKeyNotFound        no such key or version
//   kKeySoftDeleted     the key is deleted but can still be recovered
//   kKeyDisabled        neither wraps nor unwraps
//   kKeyExpired, kKeyNotYetActive   does not wrap, but unwraps
//   kKeyOperationMissing   not permitted for the key
//   kWrapFailed         the secret is too long for the key, or the operation failed
//   kEnvelopeNotOpened  not wrapped by this key, or damaged; the reason is not told apart
// Safe to use from several threads.
class KeyStore {
 public:
  virtual ~KeyStore() = default;

  // Whether `uri` identifies a key of this store, with or without version. Touches no key.
  virtual bool owns(std::string_view uri) const = 0;
  // The version that `uri` names; without one, the version that was created last, whatever its
  // state.
  virtual KeyVersion describe(std::string_view uri) = 0;

  // RSA-OAEP-256 under exactly the version `kid` names; without a version it is kUriInvalid.
  virtual Bytes wrap(std::string_view kid, const SecretBytes& secret) = 0;
  Unwrapped unwrap(std::string_view kid, ByteView wrapped,
                   WrapAlgorithm algorithm = WrapAlgorithm::kRsaOaep256) {
    return do_unwrap(kid, wrapped, algorithm);
  }

 private:
  virtual Unwrapped do_unwrap(std::string_view kid, ByteView wrapped, WrapAlgorithm algorithm) = 0;
};

// The state rules that all stores share. A version wraps when it is enabled and
// not_before <= now < expires; it unwraps whenever it is enabled. Both throw the conditions above.
void require_can_wrap(const KeyVersion& version, UnixSeconds now);
// The warning of Unwrapped.
std::string require_can_unwrap(const KeyVersion& version, UnixSeconds now);

}  // namespace driveprep::keywrap

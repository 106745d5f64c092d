// The envelope that keeps one secret of a drive beside the job: a JWE in the general JSON
// serialisation (RFC 7516, section 7.2.1), content encryption A256GCM, key wrapping RSA-OAEP-256.
//
//   protected    typ "JOSE+JSON", cty "json", enc "A256GCM", ie.v 1, ie.job, ie.drive, ie.purpose
//   recipients   one for each key: header {alg "RSA-OAEP-256", kid}, encrypted_key
//   iv, ciphertext, tag
//   plaintext    JSON: v 1, kind "recovery-password", "volume-key", "volume-metadata",
//                "device-unlock-key" or "secret", value, protectorId (not with the last two),
//                created
//
// The protected header binds the secret to its job, drive and purpose. `alg` and `kid` are outside
// it, so that the content key can be wrapped again under another key without touching the
// ciphertext.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/secret_bytes.h"
#include "keywrap/key_store.h"
#include "keywrap/payload.h"

namespace driveprep::keywrap {

// What the envelope belongs to. `job` and `drive` are 1 to 256 bytes of valid UTF-8 without control
// characters; `drive` is the drive id exactly as the manifest has it, or the name of a customer's
// secret.
struct Binding {
  std::string job;
  std::string drive;
  Purpose purpose = Purpose::kRecoveryPassword;

  friend bool operator==(const Binding&, const Binding&) = default;
};

// More keys than this over one secret are a mistake.
inline constexpr std::size_t kMaxRecipients = 8;

struct Recipient {
  std::string kid;
  Bytes encrypted_key;
  WrapAlgorithm algorithm = WrapAlgorithm::kRsaOaep256;
};

// Which algorithms the keys of an envelope may be wrapped with. driveprep makes RSA-OAEP-256 only;
// envelopes of other tools may have RSA-OAEP, which is taken when the operator says so.
enum class Accept { kOurAlgorithm, kAlsoRsaOaep };

// A parsed envelope: nothing secret in it, nothing of it verified yet except its form.
struct Envelope {
  Binding binding;
  std::string protected_header;       // base64url, exactly as authenticated
  std::vector<Recipient> recipients;  // at least one
  std::array<std::byte, 12> iv{};
  Bytes ciphertext;
  std::array<std::byte, 16> tag{};

  // Throws Error kKey "envelope-corrupt" (also for too large, unknown or duplicate members) or
  // "envelope-algorithm" (other than A256GCM and RSA-OAEP-256, or what `accept` adds).
  static Envelope parse(std::string_view text, Accept accept = Accept::kOurAlgorithm);
  // One line of JSON with a line feed.
  std::string to_json() const;
};

// Encrypts under a fresh content key, wraps that under the key version `kid`, unwraps it again and
// compares before anything is returned. The value is checked first (check_value); a binding that
// breaks its rules is "envelope-binding-invalid".
// Returns the JSON text; not secret.
std::string seal(const Binding& binding, const Payload& payload, KeyStore& keys,
                 std::string_view kid);

struct Opened {
  Payload payload;
  std::string kid;                    // the key version that opened it
  std::vector<std::string> warnings;  // for the operator, for example that the key has expired
};

// Errors, kind kKey: those of Envelope::parse; "envelope-binding-mismatch" before any key is
// touched; "envelope-key-foreign" when no recipient's key belongs to `keys`; the state codes of
// KeyStore when none of the recipients' keys can be used; "envelope-not-opened", one and the same
// for a wrong key, an altered text and a payload that is not what was sealed.
Opened open(std::string_view text, const Binding& expected, KeyStore& keys,
            Accept accept = Accept::kOurAlgorithm);

}  // namespace driveprep::keywrap

// Key-encryption keys in a token that speaks PKCS#11: a hardware security module, a smart card,
// SoftHSM. The private keys stay there.
//
// A key is an RSA key pair whose two objects share CKA_ID. Pairs that share CKA_LABEL are the
// versions of one key, told apart by CKA_ID: an identifier with an id names a version,
//
//   pkcs11:token=Archive;serial=9f1a;object=kek;id=%01
//
// one without an id the only pair of that label; a token does not tell which of several is the
// newest, so then the id has to be named. kid is always the whole of it: token, serial, object, id,
// and never where module and PIN come from.
//
// RSA-OAEP with SHA-256 is the token's work where it knows it. Where it does not (SoftHSM 2.6 knows
// SHA-1 only), the token does the raw RSA operation and OpenSSL the padding.
//
// What a token tells of a state: CKA_START_DATE and CKA_END_DATE (UTC; the last day counts) are
// not_before and expires, the narrower ones of both halves; CKA_ENCRYPT of the public and
// CKA_DECRYPT of the private key permit wrapKey and unwrapKey. CKA_WRAP and CKA_UNWRAP alone do not
// do: what a token unwraps it keeps. Such a key is always "enabled", has no recovery level, and no
// time of creation.
//
// Not done: keys that want the PIN at each use (CKA_ALWAYS_AUTHENTICATE).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "keywrap/key_store.h"
#include "keywrap/pkcs11/pkcs11_uri.h"

namespace driveprep::keywrap::pkcs11 {

class TokenSession;

// Plain errors of kind kKey besides the KeyErrors of KeyStore: token-module (missing, not to be
// trusted, no module), token-missing, token-ambiguous, token-locked, token-pin-missing, and
// key-store-unsafe for a PIN file that others can read. A wrong PIN is KeyError kCredentialInvalid;
// it is never tried twice by one process. A token that was pulled is kUnavailable.
// Sessions are locked: several threads wait for each other.
class Pkcs11KeyStore final : public KeyStore {
 public:
  struct Options {
    // Which token, by its path; and by its query the module and, perhaps, the file with the PIN
    // (mode 0600, yours; a line feed at its end does not count). What it says of a key is not
    // looked at.
    Pkcs11Uri uri;
    // Gives the PIN of the token with this label when there is no pin-source. Empty: nobody to ask.
    std::function<SecretBytes(const std::string& token)> ask_pin = {};
    Clock clock = system_clock_seconds;
  };

  // Finds the token; logs in when a key is first looked for.
  static std::unique_ptr<Pkcs11KeyStore> open(Options options);
  ~Pkcs11KeyStore() override;

  bool owns(std::string_view uri) const override;
  KeyVersion describe(std::string_view uri) override;
  Bytes wrap(std::string_view kid, const SecretBytes& secret) override;

 private:
  Unwrapped do_unwrap(std::string_view kid, ByteView wrapped, WrapAlgorithm algorithm) override;
  struct KeyPair;

  explicit Pkcs11KeyStore(Options options);

  // Throws kUriInvalid for what is no identifier of a key of this token.
  Pkcs11Uri require_own(std::string_view text) const;
  KeyPair find(const Pkcs11Uri& uri);
  KeyPair find_version(std::string_view kid);
  KeyVersion description(const KeyPair& key);
  std::string kid_of(const KeyPair& key) const;
  SecretBytes pin(const std::string& token) const;

  Options options_;
  std::unique_ptr<TokenSession> session_;
};

}  // namespace driveprep::keywrap::pkcs11

// An RSA private key in OpenSSL's hands: made, kept as an encrypted file, used for RSA-OAEP.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/secret_bytes.h"
#include "keywrap/openssl.h"

namespace driveprep::keywrap {

// The public half in the terms of a JWK (RFC 7517): big-endian, no leading zero bytes.
struct RsaPublic {
  Bytes n;
  Bytes e;
  friend bool operator==(const RsaPublic&, const RsaPublic&) = default;
};

class RsaKey {
 public:
  static RsaKey generate(unsigned bits);
  // PEM "ENCRYPTED PRIVATE KEY" as written by to_pem. Throws Error kKey "key-store-locked-out" when
  // the passphrase does not fit, "key-store-corrupt" when it is no such file; `name` is for them.
  static RsaKey from_pem(ByteView pem, const SecretBytes& passphrase, const std::string& name);

  std::string to_pem(const SecretBytes& passphrase) const;
  unsigned bits() const;
  RsaPublic public_part() const;

  // Throw KeyErrors kWrapFailed, kEnvelopeNotOpened.
  Bytes encrypt(const SecretBytes& secret) const;
  SecretBytes decrypt(ByteView wrapped, WrapAlgorithm algorithm) const;

 private:
  explicit RsaKey(EVP_PKEY* key) : key_(key) {}

  openssl::Key key_;
};

}  // namespace driveprep::keywrap

// RSAES-OAEP around a raw RSA operation, for tokens that know only that. What pads does so for
// RSA-OAEP-256. For this directory only.
#pragma once

#include "base/bytes.h"
#include "base/secret_bytes.h"
#include "keywrap/wrap_algorithm.h"

namespace driveprep::keywrap::pkcs11 {

// The longest secret that `modulus_bytes` hold (RFC 8017, section 7.1.1).
constexpr std::size_t oaep_capacity(std::size_t modulus_bytes) {
  constexpr std::size_t kTaken = 2 * 32 + 2;
  return modulus_bytes < kTaken ? 0 : modulus_bytes - kTaken;
}

// The block to encrypt; `secret` must fit.
SecretBytes oaep_pad(const SecretBytes& secret, std::size_t modulus_bytes);
// What is in a decrypted block, as long as the modulus. Throws KeyError kEnvelopeNotOpened,
// whatever is wrong with it; how long that takes does not depend on what it is.
SecretBytes oaep_unpad(const SecretBytes& block, WrapAlgorithm algorithm);

// The same with a public key on this machine, big-endian numbers.
Bytes oaep_encrypt(ByteView modulus, ByteView exponent, const SecretBytes& secret);

[[noreturn]] void not_opened();

}  // namespace driveprep::keywrap::pkcs11

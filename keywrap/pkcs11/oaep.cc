// The padding alone is what OpenSSL 3 calls deprecated; its replacement pads only together with a
// key that it has in its own hands, and the point here is that it has not.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "keywrap/pkcs11/oaep.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <memory>

#include "keywrap/key_error.h"
#include "keywrap/openssl.h"

namespace driveprep::keywrap::pkcs11 {
namespace {

using openssl::Call;
using openssl::Key;
using openssl::KeyContext;
using openssl::Number;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Call<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Call<OSSL_PARAM_free>>;

[[noreturn]] void wrap_failed(const char* why) {
  ERR_clear_error();
  throw KeyError(Condition::kWrapFailed, why);
}

Number number_of(ByteView bytes) {
  return Number(BN_bin2bn(uchars(bytes), static_cast<int>(bytes.size()), nullptr));
}

Key public_key(ByteView modulus, ByteView exponent) {
  const Number n = number_of(modulus);
  const Number e = number_of(exponent);
  const Builder builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return nullptr;
  }
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
    return nullptr;
  }
  return Key(key);
}

}  // namespace

void not_opened() {
  ERR_clear_error();
  throw KeyError(Condition::kEnvelopeNotOpened,
                 "the wrapped key does not open under this key of the token");
}

SecretBytes oaep_pad(const SecretBytes& secret, std::size_t modulus_bytes) {
  require(secret.size() <= oaep_capacity(modulus_bytes), "a secret is too long for OAEP");
  SecretBytes block(modulus_bytes);
  if (RSA_padding_add_PKCS1_OAEP_mgf1(uchars(block.span()), static_cast<int>(block.size()),
                                      uchars(secret.span()), static_cast<int>(secret.size()),
                                      nullptr, 0, EVP_sha256(), EVP_sha256()) != 1) {
    wrap_failed("OAEP padding with SHA-256 failed");
  }
  return block;
}

SecretBytes oaep_unpad(const SecretBytes& block, WrapAlgorithm algorithm) {
  const EVP_MD* hash = openssl::hash_of(algorithm);
  SecretBytes secret(block.size());
  const int size = RSA_padding_check_PKCS1_OAEP_mgf1(
      uchars(secret.span()), static_cast<int>(secret.size()), uchars(block.span()),
      static_cast<int>(block.size()), static_cast<int>(block.size()), nullptr, 0, hash, hash);
  if (size < 0) not_opened();
  secret.truncate(static_cast<std::size_t>(size));
  return secret;
}

Bytes oaep_encrypt(ByteView modulus, ByteView exponent, const SecretBytes& secret) {
  const Key key = public_key(modulus, exponent);
  const KeyContext context =
      openssl::oaep_context(key.get(), EVP_PKEY_encrypt_init, WrapAlgorithm::kRsaOaep256);
  Bytes wrapped(modulus.size());
  std::size_t size = wrapped.size();
  const bool done = context && EVP_PKEY_encrypt(context.get(), uchars(MutableByteView(wrapped)),
                                                &size, uchars(secret.span()), secret.size()) == 1;
  if (!done) wrap_failed("the public key of the token does not encrypt");
  wrapped.resize(size);
  return wrapped;
}

}  // namespace driveprep::keywrap::pkcs11

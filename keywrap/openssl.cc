#include "keywrap/openssl.h"

#include <openssl/rsa.h>

namespace driveprep::keywrap::openssl {

const EVP_MD* hash_of(WrapAlgorithm algorithm) {
  return algorithm == WrapAlgorithm::kRsaOaep ? EVP_sha1() : EVP_sha256();
}

KeyContext oaep_context(EVP_PKEY* key, int (*init)(EVP_PKEY_CTX*), WrapAlgorithm algorithm) {
  KeyContext context(key == nullptr ? nullptr : EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  const bool ready = context && init(context.get()) == 1 &&
                     EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) == 1 &&
                     EVP_PKEY_CTX_set_rsa_oaep_md(context.get(), hash_of(algorithm)) == 1 &&
                     EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), hash_of(algorithm)) == 1;
  if (!ready) context.reset();
  return context;
}

}  // namespace driveprep::keywrap::openssl

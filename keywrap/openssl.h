// What the users of OpenSSL here share. For this module only.
#pragma once

#include <openssl/bn.h>
#include <openssl/evp.h>

#include <memory>

#include "keywrap/wrap_algorithm.h"

namespace driveprep::keywrap::openssl {

// A deleter for std::unique_ptr that calls `Function`.
template <auto Function>
struct Call {
  template <typename T>
  void operator()(T* pointer) const {
    Function(pointer);
  }
};

using Number = std::unique_ptr<BIGNUM, Call<BN_free>>;
using Key = std::unique_ptr<EVP_PKEY, Call<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Call<EVP_PKEY_CTX_free>>;

// The hash of an algorithm, also of its mask generation function.
const EVP_MD* hash_of(WrapAlgorithm algorithm);

// Ready for RSAES-OAEP with `key`; `init` is EVP_PKEY_encrypt_init or EVP_PKEY_decrypt_init. Null
// when this OpenSSL cannot.
KeyContext oaep_context(EVP_PKEY* key, int (*init)(EVP_PKEY_CTX*), WrapAlgorithm algorithm);

}  // namespace driveprep::keywrap::openssl

#include "bitlocker/aes_ecb.h"

#include <openssl/evp.h>

namespace driveprep::bitlocker {

void AesEcb::Free::operator()(evp_cipher_ctx_st* context) const { EVP_CIPHER_CTX_free(context); }

AesEcb::AesEcb(ByteView key, Direction direction) : context_(EVP_CIPHER_CTX_new()) {
  require(key.size() == 16 || key.size() == 32, "an AES key has 16 or 32 bytes");
  require(context_ != nullptr, "EVP_CIPHER_CTX_new failed");
  const EVP_CIPHER* cipher = key.size() == 16 ? EVP_aes_128_ecb() : EVP_aes_256_ecb();
  require(EVP_CipherInit_ex(context_.get(), cipher, nullptr, uchars(key), nullptr,
                            direction == Direction::kEncrypt ? 1 : 0) == 1 &&
              EVP_CIPHER_CTX_set_padding(context_.get(), 0) == 1,
          "AES key setup failed in libcrypto");
}

AesEcb::AesEcb(const AesEcb& other) : context_(EVP_CIPHER_CTX_new()) {
  require(context_ != nullptr && EVP_CIPHER_CTX_copy(context_.get(), other.context_.get()) == 1,
          "EVP_CIPHER_CTX_copy failed");
}

void AesEcb::transform(ByteView in, MutableByteView out) {
  int length = 0;
  require(EVP_CipherUpdate(context_.get(), uchars(out), &length, uchars(in),
                           static_cast<int>(in.size())) == 1 &&
              static_cast<std::size_t>(length) == in.size(),
          "AES failed in libcrypto");
}

}  // namespace driveprep::bitlocker

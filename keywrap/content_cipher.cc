#include "keywrap/content_cipher.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <limits>
#include <memory>

#include "base/error.h"

namespace driveprep::keywrap {
namespace {

struct Free {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, Free>;

int int_size(ByteView bytes) {
  require(bytes.size() <= std::numeric_limits<int>::max(), "too long for one GCM call");
  return static_cast<int>(bytes.size());
}

// Keyed, with the authenticated data already in.
Context start(const SecretBytes& key, const GcmNonce& nonce, ByteView authenticated, int encrypt) {
  require(key.size() == kContentKeyBytes, "a content key has 32 bytes");
  Context context(EVP_CIPHER_CTX_new());
  int length = 0;
  // 96 bits is OpenSSL's default nonce length for GCM.
  const bool ready = context &&
                     EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr,
                                       uchars(key.span()), uchars(ByteView(nonce)), encrypt) == 1 &&
                     EVP_CipherUpdate(context.get(), nullptr, &length, uchars(authenticated),
                                      int_size(authenticated)) == 1;
  require(ready, "AES-256-GCM could not be started");
  return context;
}

}  // namespace

Sealed gcm_seal(const SecretBytes& key, const GcmNonce& nonce, ByteView authenticated,
                const SecretBytes& plaintext) {
  const Context context = start(key, nonce, authenticated, 1);
  Sealed sealed{Bytes(plaintext.size()), {}};
  unsigned char* out = uchars(MutableByteView(sealed.ciphertext));
  int length = 0;
  int rest = 0;
  const bool done = EVP_CipherUpdate(context.get(), out, &length, uchars(plaintext.span()),
                                     int_size(plaintext.span())) == 1 &&
                    EVP_CipherFinal_ex(context.get(), out + length, &rest) == 1 &&
                    EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, int_size(sealed.tag),
                                        sealed.tag.data()) == 1;
  require(done, "AES-256-GCM failed");
  return sealed;
}

std::optional<SecretBytes> gcm_open(const SecretBytes& key, const GcmNonce& nonce,
                                    ByteView authenticated, const Sealed& sealed) {
  const Context context = start(key, nonce, authenticated, 0);
  SecretBytes plaintext(sealed.ciphertext.size());
  GcmTag tag = sealed.tag;  // OpenSSL takes it through a pointer to non-const
  int length = 0;
  int rest = 0;
  const bool verified =
      EVP_CipherUpdate(context.get(), uchars(plaintext.span()), &length,
                       uchars(ByteView(sealed.ciphertext)), int_size(sealed.ciphertext)) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, int_size(tag), tag.data()) == 1 &&
      EVP_CipherFinal_ex(context.get(), uchars(plaintext.span()) + length, &rest) == 1;
  ERR_clear_error();
  if (!verified) return std::nullopt;
  return plaintext;
}

}  // namespace driveprep::keywrap

#include "keywrap/rsa_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/error.h"
#include "keywrap/key_error.h"

namespace driveprep::keywrap {
namespace {

// OWASP's figure for PBKDF2 with HMAC-SHA-256; about 0.25 s on a desktop of 2022.
constexpr int kPbkdf2Rounds = 600'000;

using openssl::Call;
using openssl::KeyContext;
using openssl::Number;
using Bio = std::unique_ptr<BIO, Call<BIO_free_all>>;
using Pkcs8 = std::unique_ptr<PKCS8_PRIV_KEY_INFO, Call<PKCS8_PRIV_KEY_INFO_free>>;
using EncryptedKey = std::unique_ptr<X509_SIG, Call<X509_SIG_free>>;
using Algorithm = std::unique_ptr<X509_ALGOR, Call<X509_ALGOR_free>>;
using Encoder = std::unique_ptr<OSSL_ENCODER_CTX, Call<OSSL_ENCODER_CTX_free>>;

// OpenSSL's error queue is emptied so that nobody else trips over it.
[[noreturn]] void fail(const char* code, std::string message, std::string remedy = {}) {
  ERR_clear_error();
  throw Error(ErrorKind::kKey, code, std::move(message), std::move(remedy));
}

[[noreturn]] void fail(Condition condition, const std::string& message) {
  ERR_clear_error();
  throw KeyError(condition, message);
}

// PKCS#8 DER in locked memory.
SecretBytes pkcs8_der(EVP_PKEY* key) {
  const Encoder encoder(OSSL_ENCODER_CTX_new_for_pkey(key, OSSL_KEYMGMT_SELECT_ALL, "DER",
                                                      "PrivateKeyInfo", nullptr));
  // An RSA key of 4096 bits takes 2.4 kB; the encoder reports what it left of the room.
  constexpr std::size_t kRoom = 8192;
  SecretBytes der(kRoom);
  unsigned char* end = uchars(der.span());
  std::size_t left = kRoom;
  if (!encoder || OSSL_ENCODER_to_data(encoder.get(), &end, &left) != 1) {
    fail("key-generation-failed", "the new private key could not be encoded");
  }
  der.truncate(kRoom - left);
  return der;
}

KeyContext oaep_context(EVP_PKEY* key, int (*init)(EVP_PKEY_CTX*), WrapAlgorithm algorithm) {
  KeyContext context = openssl::oaep_context(key, init, algorithm);
  if (!context) {
    fail(Condition::kWrapFailed,
         std::string(to_string(algorithm)) + " is not available in this OpenSSL");
  }
  return context;
}

Bytes number(EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  require(EVP_PKEY_get_bn_param(key, name, &raw) == 1, "an RSA key has no public numbers");
  const Number owned(raw);
  Bytes bytes(static_cast<std::size_t>(BN_num_bytes(raw)));
  BN_bn2bin(raw, uchars(MutableByteView(bytes)));
  return bytes;
}

}  // namespace

RsaKey RsaKey::generate(unsigned bits) {
  RsaKey key(EVP_RSA_gen(bits));
  if (!key.key_) {
    fail("key-generation-failed",
         "an RSA key of " + std::to_string(bits) + " bits could not be made",
         "Check that the system's random generator works, then run again.");
  }
  return key;
}

std::string RsaKey::to_pem(const SecretBytes& passphrase) const {
  const SecretBytes der = pkcs8_der(key_.get());
  const unsigned char* start = uchars(der.span());
  const Pkcs8 plain(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &start, static_cast<long>(der.size())));
  // A null salt and vector make OpenSSL draw random ones.
  Algorithm algorithm(PKCS5_pbe2_set_iv(EVP_aes_256_cbc(), kPbkdf2Rounds, nullptr, 16, nullptr,
                                        NID_hmacWithSHA256));
  if (!plain || !algorithm) fail("key-generation-failed", "the private key could not be encrypted");
  const EncryptedKey encrypted(PKCS8_set0_pbe(
      passphrase.text().data(), static_cast<int>(passphrase.size()), plain.get(), algorithm.get()));
  if (!encrypted) fail("key-generation-failed", "the private key could not be encrypted");
  (void)algorithm.release();  // now part of `encrypted`

  const Bio out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_PKCS8(out.get(), encrypted.get()) != 1) {
    fail("key-generation-failed", "the private key could not be written as PEM");
  }
  char* text = nullptr;
  const long length = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<std::size_t>(length));
}

RsaKey RsaKey::from_pem(ByteView pem, const SecretBytes& passphrase, const std::string& name) {
  const Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const EncryptedKey encrypted(in ? PEM_read_bio_PKCS8(in.get(), nullptr, nullptr, nullptr)
                                  : nullptr);
  if (!encrypted) {
    fail("key-store-corrupt", name + " is not an encrypted private key",
         "Restore the key store from its backup.");
  }
  const Pkcs8 plain(PKCS8_decrypt(encrypted.get(), passphrase.text().data(),
                                  static_cast<int>(passphrase.size())));
  RsaKey key(plain ? EVP_PKCS82PKEY(plain.get()) : nullptr);
  if (!key.key_ || EVP_PKEY_is_a(key.key_.get(), "RSA") != 1) {
    fail("key-store-locked-out", "the unlock secret of the key store does not open " + name,
         "Restore the unlock file that belongs to this key store.");
  }
  ERR_clear_error();
  return key;
}

unsigned RsaKey::bits() const { return static_cast<unsigned>(EVP_PKEY_get_bits(key_.get())); }

RsaPublic RsaKey::public_part() const {
  return {number(key_.get(), OSSL_PKEY_PARAM_RSA_N), number(key_.get(), OSSL_PKEY_PARAM_RSA_E)};
}

Bytes RsaKey::encrypt(const SecretBytes& secret) const {
  const KeyContext context =
      oaep_context(key_.get(), EVP_PKEY_encrypt_init, WrapAlgorithm::kRsaOaep256);
  Bytes wrapped(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get())));
  std::size_t size = wrapped.size();
  if (EVP_PKEY_encrypt(context.get(), uchars(MutableByteView(wrapped)), &size,
                       uchars(secret.span()), secret.size()) != 1) {
    fail(Condition::kWrapFailed, "an RSA key of " + std::to_string(bits()) + " bits cannot wrap " +
                                     std::to_string(secret.size()) + " bytes");
  }
  wrapped.resize(size);
  return wrapped;
}

SecretBytes RsaKey::decrypt(ByteView wrapped, WrapAlgorithm algorithm) const {
  const KeyContext context = oaep_context(key_.get(), EVP_PKEY_decrypt_init, algorithm);
  SecretBytes secret(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get())));
  std::size_t size = secret.size();
  if (EVP_PKEY_decrypt(context.get(), uchars(secret.span()), &size, uchars(wrapped),
                       wrapped.size()) != 1) {
    fail(Condition::kEnvelopeNotOpened, "the wrapped key does not open under this private key");
  }
  secret.truncate(size);
  return secret;
}

}  // namespace driveprep::keywrap

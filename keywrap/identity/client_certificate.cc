#include "keywrap/identity/client_certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <array>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "base/guid.h"
#include "keywrap/openssl.h"

namespace driveprep::keywrap::identity {
namespace {

constexpr UnixSeconds kAssertionLife = 10 * 60;
constexpr int kMostCertificates = 16;

using openssl::Call;
using openssl::Key;
using Bio = std::unique_ptr<BIO, Call<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Call<X509_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Call<EVP_MD_CTX_free>>;

[[noreturn]] void unusable(const std::string& name, const std::string& why) {
  ERR_clear_error();
  throw KeyError(Condition::kCredentialInvalid, name + " cannot be used to sign in: " + why);
}

Bio reader(const SecretBytes& pem) {
  return Bio(BIO_new_mem_buf(pem.span().data(), static_cast<int>(pem.size())));
}

// Answers "no passphrase" instead of asking on the terminal.
int no_passphrase(char*, int, int, void*) { return -1; }

Key read_key(const SecretBytes& pem, const std::string& name) {
  Key key(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, no_passphrase, nullptr));
  if (!key) unusable(name, "there is no private key in it, or it is encrypted");
  if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) {
    unusable(name, "its private key is not an RSA key");
  }
  return key;
}

// The certificate that belongs to the key: a chain may stand around it.
Certificate read_certificate(const SecretBytes& pem, EVP_PKEY* key, const std::string& name) {
  const Bio bio = reader(pem);
  for (int i = 0; i < kMostCertificates; ++i) {
    Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
    if (!certificate) break;
    if (X509_check_private_key(certificate.get(), key) == 1) {
      ERR_clear_error();
      return certificate;
    }
  }
  unusable(name, "there is no certificate in it that belongs to its private key");
}

void require_current(X509* certificate, const std::string& name, UnixSeconds now) {
  time_t time = now;
  if (X509_cmp_time(X509_get0_notAfter(certificate), &time) < 0) {
    unusable(name, "its certificate has expired");
  }
  if (X509_cmp_time(X509_get0_notBefore(certificate), &time) > 0) {
    unusable(name, "its certificate is not valid yet; the clock of this machine may be wrong");
  }
}

std::string thumbprint(X509* certificate) {
  std::array<std::byte, 32> digest{};
  unsigned size = 0;
  require(X509_digest(certificate, EVP_sha256(), uchars(MutableByteView(digest)), &size) == 1 &&
              size == digest.size(),
          "a certificate has no digest");
  return base64url(digest);
}

// RSASSA-PSS with SHA-256, salt as long as the digest.
SecretBytes sign(EVP_PKEY* key, std::string_view text, const std::string& name) {
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;
  const ByteView bytes = as_bytes(text);
  std::size_t size = 0;
  const bool ready =
      context && EVP_DigestSignInit(context.get(), &options, EVP_sha256(), nullptr, key) == 1 &&
      EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
      EVP_PKEY_CTX_set_rsa_mgf1_md(options, EVP_sha256()) == 1 &&
      EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1 &&
      EVP_DigestSign(context.get(), nullptr, &size, uchars(bytes), bytes.size()) == 1;
  SecretBytes signature(ready ? size : 0);
  if (!ready || EVP_DigestSign(context.get(), uchars(signature.span()), &size, uchars(bytes),
                               bytes.size()) != 1) {
    unusable(name, "its key does not sign");
  }
  signature.truncate(size);
  return signature;
}

// Text, a dot, and the bytes in base64url: only with the signature it is worth hiding.
SecretBytes with_signature(const std::string& text, const SecretBytes& signature) {
  const std::size_t start = text.size() + 1;
  SecretBytes whole(start + (signature.size() + 2) / 3 * 4 + 1);  // OpenSSL adds a zero
  const MutableByteView out = whole.span();
  std::memcpy(out.data(), text.data(), text.size());
  out[text.size()] = std::byte{'.'};
  const int length = EVP_EncodeBlock(uchars(out.subspan(start)), uchars(signature.span()),
                                     static_cast<int>(signature.size()));
  std::size_t end = start + static_cast<std::size_t>(length);
  while (out[end - 1] == std::byte{'='}) --end;
  for (std::byte& b : out.subspan(start, end - start)) {
    if (b == std::byte{'+'}) b = std::byte{'-'};
    if (b == std::byte{'/'}) b = std::byte{'_'};
  }
  whole.truncate(end);
  return whole;
}

}  // namespace

SecretBytes make_assertion(const SecretBytes& pem, const std::string& name,
                           const std::string& client_id, const std::string& audience,
                           UnixSeconds now) {
  const Key key = read_key(pem, name);
  const Certificate certificate = read_certificate(pem, key.get(), name);
  require_current(certificate.get(), name, now);
  const nlohmann::json header = {
      {"alg", "PS256"}, {"typ", "JWT"}, {"x5t#S256", thumbprint(certificate.get())}};
  const nlohmann::json claims = {{"aud", audience},
                                 {"iss", client_id},
                                 {"sub", client_id},
                                 {"jti", Guid::random().lower()},
                                 {"nbf", now},
                                 {"iat", now},
                                 {"exp", now + kAssertionLife}};
  const std::string text =
      base64url(as_bytes(header.dump())) + "." + base64url(as_bytes(claims.dump()));
  return with_signature(text, sign(key.get(), text, name));
}

ClientCertificateSource::ClientCertificateSource(ClientIdentity client, std::filesystem::path file,
                                                 Cloud cloud, http::Sender& sender)
    : client_(std::move(client)),
      file_(std::move(file)),
      cloud_(std::move(cloud)),
      sender_(sender) {}

Token ClientCertificateSource::fetch(const TokenRequest& request) {
  const std::string endpoint = token_endpoint(request, client_, cloud_);
  const SecretBytes pem = read_credential(file_, FileRule::kOwnerOnly);
  const SecretBytes assertion = make_assertion(pem, file_.string(), client_.client_id, endpoint,
                                               sender_.surroundings().clock());
  return fetch_with_assertion(endpoint, request, client_, assertion.text(), sender_, describe());
}

std::string ClientCertificateSource::describe() const {
  return "the client certificate of " + client_.client_id;
}

}  // namespace driveprep::keywrap::identity

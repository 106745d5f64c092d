#include "keywrap/identity/client_certificate.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "tests/support/scratch.h"
#include "tests/unit/keywrap_identity/fixtures.h"

using namespace driveprep;
using namespace driveprep::keywrap;
using namespace driveprep::keywrap::identity;
using test::contains;
using test::failure_of;
using test::kNow;
using test::vault_request;

namespace {

constexpr const char* kClient = "aaaaaaaa-2222-3333-4444-555555555555";
constexpr const char* kAudience = "https://login.microsoftonline.com/x/oauth2/v2.0/token";

template <typename Write>
std::string pem(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  REQUIRE(write(bio) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

std::string key_pem(EVP_PKEY* key) {
  return pem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

// Valid for a day around kNow.
std::string certificate_pem(EVP_PKEY* key) {
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  time_t now = kNow;
  X509_time_adj(X509_getm_notBefore(certificate), -43'200, &now);
  X509_time_adj(X509_getm_notAfter(certificate), 43'200, &now);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  const std::string text = pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
  X509_free(certificate);
  return text;
}

struct Material {
  EVP_PKEY* key = EVP_RSA_gen(2048);
  EVP_PKEY* other = EVP_RSA_gen(2048);
  std::string key_text = key_pem(key);
  std::string certificate = certificate_pem(key);
  std::string other_certificate = certificate_pem(other);
};
const Material& material() {
  static const Material kMaterial;
  return kMaterial;
}

std::string assertion(const std::string& text, UnixSeconds now = kNow) {
  return std::string(
      make_assertion(SecretBytes::copy_of(text), "cert.pem", kClient, kAudience, now).text());
}

std::string why(const std::string& text, UnixSeconds now = kNow) {
  const auto failure = failure_of([&] { assertion(text, now); });
  CHECK(failure.condition == "CredentialInvalid");
  CHECK(contains(failure.message, "cert.pem"));
  return failure.message;
}

nlohmann::json part(const std::string& jwt, int index) {
  std::string rest = jwt;
  for (int i = 0; i < index; ++i) rest = rest.substr(rest.find('.') + 1);
  const auto bytes = from_base64url(rest.substr(0, rest.find('.'))).value();
  return nlohmann::json::parse(as_text(bytes));
}

}  // namespace

TEST_CASE("the assertion of a certificate says who signs in where, for ten minutes") {
  const std::string jwt = assertion(material().key_text + material().certificate);
  const auto header = part(jwt, 0);
  CHECK(header.at("alg") == "PS256");
  CHECK(header.at("typ") == "JWT");
  CHECK(from_base64url(header.at("x5t#S256").get<std::string>()).value().size() == 32);
  const auto claims = part(jwt, 1);
  CHECK(claims.at("aud") == kAudience);
  CHECK(claims.at("iss") == kClient);
  CHECK(claims.at("sub") == kClient);
  CHECK(claims.at("nbf") == kNow);
  CHECK(claims.at("exp") == kNow + 600);
  const auto again = part(assertion(material().key_text + material().certificate), 1);
  CHECK(claims.at("jti") != again.at("jti"));
}

TEST_CASE("the openssl program confirms signature and thumbprint of an assertion") {
  const std::string openssl = test::program("openssl");
  if (openssl.empty()) {
    WARN("skipped: there is no openssl program");
    return;
  }
  const test::ScratchDirectory scratch;
  const std::string jwt = assertion(material().certificate + material().key_text);
  const std::size_t dot = jwt.rfind('.');
  const auto signature = from_base64url(jwt.substr(dot + 1)).value();
  const std::string certificate = scratch.file("cert", as_bytes(material().certificate));
  const auto signed_file = scratch.file("text", as_bytes(jwt.substr(0, dot)));
  const auto signature_file = scratch.file("signature", signature);
  const auto key = run_subprocess(openssl, {"x509", "-in", certificate, "-noout", "-pubkey"});
  const auto key_file = scratch.file("key", as_bytes(key.output));
  const auto verified =
      run_subprocess(openssl, {"dgst", "-sha256", "-verify", key_file, "-signature", signature_file,
                               "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32",
                               "-sigopt", "rsa_mgf1_md:sha256", signed_file});
  CHECK(verified.output == "Verified OK\n");

  std::string fingerprint =
      run_subprocess(openssl, {"x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"})
          .output;
  fingerprint = fingerprint.substr(fingerprint.find('=') + 1);
  std::erase_if(fingerprint, [](char c) { return c == ':' || c == '\n'; });
  CHECK(base64url(from_hex(fingerprint).value()) == part(jwt, 0).at("x5t#S256"));
}

TEST_CASE("the certificate of the key is found in a chain, wherever the key stands") {
  const Material& m = material();
  const auto thumbprint = part(assertion(m.key_text + m.certificate), 0).at("x5t#S256");
  CHECK(part(assertion(m.other_certificate + m.certificate + m.key_text), 0).at("x5t#S256") ==
        thumbprint);
  CHECK(part(assertion("Bag Attributes\n" + m.other_certificate + m.key_text + m.certificate), 0)
            .at("x5t#S256") == thumbprint);
}

TEST_CASE("a certificate that cannot sign in is told with the reason") {
  const Material& m = material();
  CHECK(contains(why(m.certificate), "no private key"));
  CHECK(contains(why("nonsense"), "no private key"));
  CHECK(contains(why(m.key_text), "no certificate"));
  CHECK(contains(why(m.key_text + m.other_certificate), "no certificate in it that belongs"));
  CHECK(contains(why(m.key_text + m.certificate, kNow + 50'000), "expired"));
  CHECK(contains(why(m.key_text + m.certificate, kNow - 50'000), "not valid yet"));
  EVP_PKEY* elliptic = EVP_EC_gen("P-256");
  CHECK(contains(why(key_pem(elliptic) + certificate_pem(elliptic)), "not an RSA key"));
  EVP_PKEY_free(elliptic);
  const std::string encrypted = pem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, m.key, EVP_aes_256_cbc(), "pass", 4, nullptr,
                                         nullptr);
  });
  CHECK(contains(why(encrypted + m.certificate), "encrypted"));
}

TEST_CASE("a client certificate is posted as an assertion for the token endpoint") {
  test::World world;
  world.transport.answer(200, R"({"access_token":"tok","expires_in":3599})");
  const test::ScratchDirectory scratch;
  const auto file =
      scratch.file("cert.pem", as_bytes(material().key_text + material().certificate));
  ClientCertificateSource source({kClient, ""}, file, test::public_cloud(), world.sender);
  CHECK(source.fetch(vault_request()).value.text() == "tok");
  const test::Sent& sent = world.transport.requests.at(0);
  CHECK(contains(sent.body,
                 "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-"
                 "type%3Ajwt-bearer&client_assertion="));
  const std::string jwt = sent.body.substr(sent.body.rfind('=') + 1);
  CHECK(part(jwt, 1).at("aud") == sent.url);
  CHECK_FALSE(contains(sent.body, "client_secret"));

  std::filesystem::permissions(file, std::filesystem::perms(0644));
  CHECK(failure_of([&] { (void)source.fetch(vault_request()); }).condition == "CredentialInvalid");
}

#include "agent/record/public_key.h"

#include <catch2/catch.hpp>

#include "base/encoding.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using record::PublicKey;

namespace {

// RFC 8037, appendix A.
constexpr const char* kX = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const nlohmann::json kJwk = {{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", kX}};

constexpr const char* kRefused = "usage/record-key-file";

std::string code(const std::string& text) {
  return test::error_of([&] { (void)PublicKey::from_file_text(text, "key"); });
}

}  // namespace

TEST_CASE("the thumbprint of a key is that of RFC 8037") {
  CHECK(PublicKey::from_jwk(kJwk).kid() == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

TEST_CASE("the example signature of RFC 8037 is verified, another is not") {
  const PublicKey key = PublicKey::from_jwk(kJwk);
  const std::string input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
  const Bytes bytes = from_base64url(
                          "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt"
                          "9g7sVvpAr_MuM0KAg")
                          .value();
  record::Signature signature{};
  std::ranges::copy(bytes, signature.begin());
  CHECK(key.verifies(as_bytes(input), signature));
  CHECK_FALSE(key.verifies(as_bytes(input + "x"), signature));
  signature[40] ^= std::byte{1};
  CHECK_FALSE(key.verifies(as_bytes(input), signature));
}

TEST_CASE("a key is read back from its PEM and its JWK") {
  const PublicKey key = PublicKey::from_jwk(kJwk);
  CHECK(PublicKey::from_file_text(key.pem(), "key") == key);
  CHECK(PublicKey::from_file_text(key.jwk().dump(), "key") == key);
  nlohmann::json more = kJwk;
  more["kid"] = "ours";
  more["use"] = "sig";
  CHECK(PublicKey::from_file_text(more.dump(2) + "\n", "key") == key);
}

TEST_CASE("the openssl program reads the PEM", "[openssl]") {
  const test::ScratchDirectory scratch;
  const PublicKey key = PublicKey::from_jwk(kJwk);
  const auto file = scratch.file("key.pem", as_bytes(key.pem()));
  const SubprocessResult result =
      run_subprocess(test::program("openssl"), {"pkey", "-pubin", "-in", file.string(), "-pubout"});
  CHECK(result.exit_status == 0);
  CHECK(result.output == key.pem());
}

TEST_CASE("what is no public key for records is refused") {
  const auto with = [](const char* member, const char* value) {
    nlohmann::json jwk = kJwk;
    jwk[member] = value;
    return jwk.dump();
  };
  CHECK(code("") == kRefused);
  CHECK(code("[]") == kRefused);
  CHECK(code("{}") == kRefused);
  CHECK(code(with("d", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")) == kRefused);
  CHECK(code(with("crv", "X25519")) == kRefused);
  CHECK(code(with("kty", "EC")) == kRefused);
  CHECK(code(with("x", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp")) == kRefused);
  CHECK(code(with("x", "AAAA")) == kRefused);
  CHECK(code("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n") == kRefused);
  CHECK(code("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n") == kRefused);
  // Another curve: X25519, the same length.
  CHECK(
      code(
          "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VuAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
          "\n-----END PUBLIC KEY-----\n") == kRefused);
  CHECK_THROWS_AS(PublicKey::from_jwk({{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", kX}, {"d", "A"}}),
                  FormatError);
}

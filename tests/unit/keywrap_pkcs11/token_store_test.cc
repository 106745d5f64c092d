#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "base/encoding.h"
#include "keywrap/envelope.h"
#include "keywrap/key_error.h"
#include "tests/unit/keywrap_pkcs11/soft_token.h"

namespace driveprep::keywrap::pkcs11 {
namespace {

namespace fs = std::filesystem;

const Bytes kId = {std::byte{0x01}, std::byte{0xAB}};
constexpr UnixSeconds kDay = 86'400;

// Whether there is something to test with, and `tools`.
bool ready(const std::vector<std::string>& tools = {}) {
  if (soft_module().empty()) {
    WARN("skipped: needs softhsm2");
    return false;
  }
  for (const std::string& tool : tools) {
    if (!test::program(tool).empty()) continue;
    WARN("skipped: needs " << tool);
    return false;
  }
  return true;
}

std::string text_of(const fs::path& file) {
  return posix::read_file(file, 1 << 20, ErrorKind::kInternal);
}

Bytes bytes_of(const fs::path& file) {
  const std::string text = text_of(file);
  return Bytes(as_bytes(text).begin(), as_bytes(text).end());
}

Bytes date_of(const std::string& text) {
  return Bytes(as_bytes(text).begin(), as_bytes(text).end());
}

TEST_CASE("the identifier of a key is whole, and says nothing of module and PIN") {
  if (!ready()) return;
  const SoftToken token;
  token.make_pair("Kek für 2026", kId);
  const auto store = Pkcs11KeyStore::open(token.options());
  const KeyVersion key = store->describe("pkcs11:object=Kek%20f%C3%BCr%202026");
  const Pkcs11Uri kid = Pkcs11Uri::parse(key.kid);
  CHECK(kid.token == token.label());
  REQUIRE(kid.serial);
  CHECK(kid.serial->size() == 16);
  CHECK(kid.object == "Kek für 2026");
  CHECK(kid.id == kId);
  CHECK_FALSE(kid.has_query());
  CHECK(kid.to_string() == key.kid);
  CHECK(key.kid.ends_with(";object=Kek%20f%C3%BCr%202026;id=%01%AB"));
  CHECK(key.key_type == "RSA");
  CHECK(key.recovery_level.empty());
  CHECK_FALSE(key.exportable);
  // Whatever names it finds it under the one identifier.
  for (const std::string& name :
       {std::string("pkcs11:id=%01%ab"), "pkcs11:id=%01%AB;serial=" + *kid.serial, key.kid}) {
    CAPTURE(name);
    CHECK(store->describe(name).kid == key.kid);
  }
}

TEST_CASE("what openssl wraps with the exported public key, the token unwraps") {
  if (!ready({"openssl", "pkcs11-tool"})) return;
  const SoftToken token;
  const test::ScratchDirectory files;
  // The pair is made by another program, too.
  token.run("pkcs11-tool",
            {"--module", soft_module().string(), "--token-label", token.label(), "--login", "--pin",
             std::string(SoftToken::kPin), "--keypairgen", "--key-type", "rsa:3072", "--id", "07",
             "--label", "kek", "--usage-decrypt"});
  token.run("pkcs11-tool",
            {"--module", soft_module().string(), "--token-label", token.label(), "--read-object",
             "--type", "pubkey", "--id", "07", "--output-file", (files / "public.der").string()});
  const SecretBytes secret = SecretBytes::random(32);
  files.file("secret", secret.span());
  token.run("openssl", {"pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey",
                        (files / "public.der").string(), "-in", (files / "secret").string(), "-out",
                        (files / "wrapped").string(), "-pkeyopt", "rsa_padding_mode:oaep",
                        "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256"});
  const auto store = Pkcs11KeyStore::open(token.options());
  const KeyVersion key = store->describe("pkcs11:object=kek");
  CHECK(key.bits == 3072);
  const Bytes wrapped = bytes_of(files / "wrapped");
  CHECK(store->unwrap(key.kid, wrapped).secret == secret);

  // Wrapped with SHA-1, it is not ours, unless the caller says so; and never the other way round.
  token.run("openssl", {"pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey",
                        (files / "public.der").string(), "-in", (files / "secret").string(), "-out",
                        (files / "sha1").string(), "-pkeyopt", "rsa_padding_mode:oaep"});
  const Bytes sha1 = bytes_of(files / "sha1");
  CHECK(refusal_of([&] { store->unwrap(key.kid, sha1); }) == "EnvelopeNotOpened");
  CHECK(store->unwrap(key.kid, sha1, WrapAlgorithm::kRsaOaep).secret == secret);
  CHECK(refusal_of([&] { store->unwrap(key.kid, wrapped, WrapAlgorithm::kRsaOaep); }) ==
        "EnvelopeNotOpened");
}

TEST_CASE("what the token wraps, openssl unwraps with the private key it was given") {
  if (!ready({"openssl"})) return;
  const SoftToken token;
  const test::ScratchDirectory files;
  const std::string pem = (files / "key.pem").string();
  token.run("openssl",
            {"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", pem});
  token.run("softhsm2-util", {"--import", pem, "--token", token.label(), "--pin",
                              std::string(SoftToken::kPin), "--id", "0A", "--label", "imported"});
  const auto store = Pkcs11KeyStore::open(token.options());
  const KeyVersion key = store->describe("pkcs11:object=imported");
  const SecretBytes secret = SecretBytes::random(55);
  const auto unwrapped = [&](const Bytes& wrapped) {
    fs::remove(files / "wrapped");
    fs::remove(files / "secret");
    files.file("wrapped", wrapped);
    token.run("openssl", {"pkeyutl", "-decrypt", "-inkey", pem, "-in", (files / "wrapped").string(),
                          "-out", (files / "secret").string(), "-pkeyopt", "rsa_padding_mode:oaep",
                          "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256"});
    return SecretBytes::copy_of(text_of(files / "secret"));
  };
  CHECK(unwrapped(store->wrap(key.kid, secret)) == secret);
  // A token without the public half: its numbers are in the private one.
  token.remove(CKO_PUBLIC_KEY, {std::byte{0x0A}});
  CHECK(unwrapped(store->wrap(key.kid, secret)) == secret);
}

TEST_CASE("dates of a key are whole days, the last one included") {
  if (!ready()) return;
  const SoftToken token;
  token.make_pair("kek", kId);
  // 2026-11-20 to 2026-11-22.
  // SoftHSM does not give back those of a private object.
  token.set(CKO_PUBLIC_KEY, kId, CKA_START_DATE, date_of("20261120"));
  token.set(CKO_PUBLIC_KEY, kId, CKA_END_DATE, date_of("20261122"));
  constexpr UnixSeconds kFirst = 1'795'132'800;
  UnixSeconds now = kFirst;
  const auto store = Pkcs11KeyStore::open(token.options([&now] { return now; }));
  const KeyVersion key = store->describe("pkcs11:object=kek");
  CHECK(key.not_before == kFirst);
  CHECK(key.expires == kFirst + 3 * kDay);
  const SecretBytes secret = SecretBytes::random(32);
  const Bytes wrapped = store->wrap(key.kid, secret);
  now = kFirst - 1;
  CHECK(refusal_of([&] { store->wrap(key.kid, secret); }) == "KeyNotYetActive");
  CHECK_FALSE(store->unwrap(key.kid, wrapped).warning.empty());
  now = kFirst + 3 * kDay - 1;
  CHECK(store->wrap(key.kid, secret).size() == 256);
  CHECK(store->unwrap(key.kid, wrapped).warning.empty());
  now = kFirst + 3 * kDay;
  CHECK(refusal_of([&] { store->wrap(key.kid, secret); }) == "KeyExpired");
  CHECK(store->unwrap(key.kid, wrapped).secret == secret);
  CHECK_FALSE(store->unwrap(key.kid, wrapped).warning.empty());
}

TEST_CASE("of two keys with one label the id has to be named") {
  if (!ready()) return;
  const SoftToken token;
  token.make_pair("kek", {std::byte{1}});
  token.make_pair("kek", {std::byte{2}});
  const auto store = Pkcs11KeyStore::open(token.options());
  try {
    (void)store->describe("pkcs11:object=kek");
    FAIL("one of two keys was picked");
  } catch (const KeyError& error) {
    CHECK(error.condition() == Condition::kUriInvalid);
    const std::string message = error.what();
    CHECK(message.find("object=kek;id=%01") != std::string::npos);
    CHECK(message.find("object=kek;id=%02") != std::string::npos);
    CHECK(error.remedy().find("id") != std::string::npos);
  }
  const std::string first = store->describe("pkcs11:object=kek;id=%01").kid;
  const std::string second = store->describe("pkcs11:object=kek;id=%02").kid;
  const Bytes wrapped = store->wrap(first, SecretBytes::random(32));
  CHECK(refusal_of([&] { store->unwrap(second, wrapped); }) == "EnvelopeNotOpened");
}

TEST_CASE("a key without an id, or that is no RSA key, is of no use") {
  if (!ready({"pkcs11-tool"})) return;
  const SoftToken token;
  token.make_pair("anonymous", kId);
  token.set(CKO_PRIVATE_KEY, kId, CKA_ID, {});
  token.run("pkcs11-tool", {"--module", soft_module().string(), "--token-label", token.label(),
                            "--login", "--pin", std::string(SoftToken::kPin), "--keypairgen",
                            "--key-type", "EC:prime256v1", "--id", "0e", "--label", "curve"});
  const auto store = Pkcs11KeyStore::open(token.options());
  CHECK(refusal_of([&] { store->describe("pkcs11:object=anonymous"); }) == "UriInvalid");
  const KeyVersion curve = store->describe("pkcs11:object=curve");
  CHECK(curve.key_type == "EC");
  CHECK(curve.bits == 0);
  CHECK(refusal_of([&] { store->wrap(curve.kid, SecretBytes::random(32)); }) ==
        "KeyTypeUnsupported");
  CHECK(refusal_of([&] { store->unwrap(curve.kid, Bytes(64)); }) == "KeyTypeUnsupported");
}

TEST_CASE("a wrong PIN is refused once, and not tried again") {
  if (!ready()) return;
  const SoftToken token;
  token.make_pair("kek", kId);
  Pkcs11KeyStore::Options options = token.options();
  options.uri.pin_source = token.pin_file("wrong-pin");
  const auto store = Pkcs11KeyStore::open(options);
  CHECK(refusal_of([&] { store->describe("pkcs11:object=kek"); }) == "CredentialInvalid");
  int asked = 0;
  options.uri.pin_source.clear();
  options.ask_pin = [&asked](const std::string&) {
    ++asked;
    return SecretBytes::copy_of(SoftToken::kPin);
  };
  // Neither by this store nor by another one.
  CHECK(refusal_of([&] { store->describe("pkcs11:object=kek"); }) == "CredentialInvalid");
  const auto other = Pkcs11KeyStore::open(options);
  CHECK(refusal_of([&] { other->describe("pkcs11:object=kek"); }) == "CredentialInvalid");
  CHECK(asked == 0);
}

TEST_CASE("the PIN is asked for once, and only when a key is looked for") {
  if (!ready()) return;
  const SoftToken token;
  token.make_pair("kek", kId);
  Pkcs11KeyStore::Options options;
  options.uri = token.uri();
  int asked = 0;
  options.ask_pin = [&](const std::string& label) {
    CHECK(label == token.label());
    ++asked;
    return SecretBytes::copy_of(SoftToken::kPin);
  };
  const auto store = Pkcs11KeyStore::open(options);
  CHECK(store->owns("pkcs11:object=kek"));
  CHECK(asked == 0);
  const std::string kid = store->describe("pkcs11:object=kek").kid;
  CHECK(store->unwrap(kid, store->wrap(kid, SecretBytes::random(32))).secret.size() == 32);
  CHECK(asked == 1);
}

TEST_CASE("a PIN that is missing, or that others can read, is told before the token is asked") {
  if (!ready()) return;
  const SoftToken token;
  token.make_pair("kek", kId);
  Pkcs11KeyStore::Options options;
  options.uri = token.uri();
  const auto use = [&] { Pkcs11KeyStore::open(options)->describe("pkcs11:object=kek"); };
  CHECK(refusal_of(use) == "token-pin-missing");  // no file, nobody to ask
  options.uri.pin_source = token.pin_file("\n");
  CHECK(refusal_of(use) == "token-pin-missing");
  options.uri.pin_source = "/nonexistent/pin";
  CHECK(refusal_of(use) == "token-pin-missing");
  options.uri.pin_source = token.pin_file(SoftToken::kPin);
  REQUIRE(::chmod(options.uri.pin_source.c_str(), 0640) == 0);
  CHECK(refusal_of(use) == "key-store-unsafe");
  REQUIRE(::chmod(options.uri.pin_source.c_str(), 0600) == 0);
  CHECK(refusal_of(use).empty());
}

TEST_CASE("modules and tokens that are not there, or are not the one, are told") {
  if (!ready()) return;
  const SoftToken token;
  const SoftToken second;
  const test::ScratchDirectory files;
  const auto opening = [](Pkcs11Uri uri) {
    return refusal_of([&] { Pkcs11KeyStore::open({.uri = std::move(uri)}); });
  };
  Pkcs11Uri uri = token.uri();
  CHECK(opening(uri).empty());
  uri.module_path.clear();
  CHECK(opening(uri) == "token-module");
  uri.module_path = "/nonexistent/module.so";
  CHECK(opening(uri) == "token-module");
  uri.module_path = files.file("text.so", as_bytes("no library"));
  CHECK(opening(uri) == "token-module");
  uri.module_path = files.path();
  CHECK(opening(uri) == "token-module");
  fs::copy_file(soft_module(), files / "open.so");
  REQUIRE(::chmod((files / "open.so").c_str(), 0666) == 0);
  uri.module_path = files / "open.so";
  CHECK(opening(uri) == "token-module");

  uri = token.uri();
  uri.token = "nobody's";
  CHECK(opening(uri) == "token-missing");
  uri = token.uri();
  uri.serial = "0000";
  CHECK(opening(uri) == "token-missing");
  uri = token.uri();
  uri.library_version = "99.0";
  CHECK(opening(uri) == "token-missing");
  uri = token.uri();
  uri.token.reset();
  CHECK(opening(uri) == "token-ambiguous");
  uri.manufacturer = "SoftHSM project";
  CHECK(opening(uri) == "token-ambiguous");
}

TEST_CASE("an envelope under a token's key opens with it, and with no other token") {
  if (!ready()) return;
  const SoftToken token;
  const SoftToken other;
  token.make_pair("kek", kId);
  other.make_pair("kek", kId);
  const auto store = Pkcs11KeyStore::open(token.options());
  const auto stranger = Pkcs11KeyStore::open(other.options());
  const std::string kid = store->describe("pkcs11:object=kek").kid;
  const Binding binding{"import-2026-11", "ZC1A0F7K", Purpose::kRecoveryPassword};
  const Payload payload{SecretBytes::copy_of(std::string_view(
                            "238810-662376-448998-450120-652806-203390-606320-483076")),
                        *Guid::parse("4967d63b-2e29-4ad8-8399-f6a339e3d001"), FileTime::now()};
  const std::string sealed = seal(binding, payload, *store, kid);
  CHECK(keywrap::open(sealed, binding, *store).payload.value == payload.value);
  CHECK(refusal_of([&] { keywrap::open(sealed, binding, *stranger); }) == "EnvelopeKeyForeign");
  token.set_flag(CKO_PRIVATE_KEY, kId, CKA_DECRYPT, false);
  CHECK(refusal_of([&] { keywrap::open(sealed, binding, *store); }) == "KeyOperationMissing");
}

}  // namespace
}  // namespace driveprep::keywrap::pkcs11

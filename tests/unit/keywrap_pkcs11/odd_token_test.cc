#include <dlfcn.h>
#include <sys/stat.h>

#include <bit>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "keywrap/key_error.h"
#include "tests/unit/keywrap_pkcs11/odd_module.h"
#include "tests/unit/keywrap_pkcs11/soft_token.h"

namespace driveprep::keywrap::pkcs11 {
namespace {

namespace fs = std::filesystem;

const Bytes kId = {std::byte{0x01}};
const std::string kName = "pkcs11:object=kek";

// In a place of its own, with permissions that do not depend on those of the build directory.
const fs::path& odd_module() {
  static const test::ScratchDirectory directory;
  static const fs::path file = [] {
    fs::path copy = directory / "odd.so";
    fs::copy_file(ODD_MODULE, copy);
    require(::chmod(copy.c_str(), 0755) == 0, "chmod failed");
    ::setenv("ODD_MODULE_BEHIND", soft_module().c_str(), 1);
    return copy;
  }();
  return file;
}

OddBehaviour& behaviour() {
  void* library = ::dlopen(odd_module().c_str(), RTLD_NOW | RTLD_LOCAL);
  require(library != nullptr, "the odd module cannot be loaded");
  return *std::bit_cast<decltype(&odd_behaviour)>(::dlsym(library, "odd_behaviour"))();
}

// A token with one key, seen through the odd module.
struct OddToken {
  SoftToken token;
  OddBehaviour& odd = behaviour();
  Pkcs11KeyStore::Options options = token.options();

  OddToken() {
    odd = {};
    token.make_pair("kek", kId);
    options.uri.module_path = odd_module();
  }
  ~OddToken() { odd = {}; }

  std::unique_ptr<Pkcs11KeyStore> open() const { return Pkcs11KeyStore::open(options); }
};

bool ready() {
  if (!soft_module().empty()) return true;
  WARN("skipped: needs softhsm2");
  return false;
}

TEST_CASE("a token that knows OAEP with SHA-256 does it by itself, and both ways are one format") {
  if (!ready()) return;
  const OddToken token;
  const auto store = token.open();
  const std::string kid = store->describe(kName).kid;
  const SecretBytes secret = SecretBytes::random(32);
  const Bytes raw = store->wrap(kid, secret);
  CHECK(token.odd.raw_operations == 1);
  token.odd.knows_sha256 = true;
  const Bytes whole = store->wrap(kid, secret);
  CHECK(store->unwrap(kid, raw).secret == secret);
  CHECK(store->unwrap(kid, whole).secret == secret);
  Bytes altered = whole;
  altered[17] ^= std::byte{1};
  CHECK(refusal_of([&] { store->unwrap(kid, altered); }) == "EnvelopeNotOpened");
  CHECK(token.odd.raw_operations == 1);
  token.odd.knows_sha256 = false;
  CHECK(store->unwrap(kid, whole).secret == secret);
}

TEST_CASE("a token that gives a number without its leading zeros is understood") {
  if (!ready()) return;
  const OddToken token;
  token.odd.drops_leading_zeros = true;
  const auto store = token.open();
  const std::string kid = store->describe(kName).kid;
  for (int i = 0; i < 20; ++i) {
    const SecretBytes secret = SecretBytes::random(32);
    CHECK(store->unwrap(kid, store->wrap(kid, secret)).secret == secret);
  }
}

TEST_CASE("a token that is locked, or would be at the next wrong PIN, gets none") {
  if (!ready()) return;
  const OddToken token;
  const auto use = [&] { token.open()->describe(kName); };
  token.odd.more_flags = CKF_USER_PIN_LOCKED;
  CHECK(refusal_of(use) == "token-locked");
  token.odd.more_flags = CKF_USER_PIN_FINAL_TRY;
  CHECK(refusal_of(use) == "token-locked");
  CHECK(token.odd.logins == 0);
  token.odd.more_flags = 0;
  token.odd.login = CKR_PIN_LOCKED;
  CHECK(refusal_of(use) == "token-locked");
  token.odd.login = CKR_PIN_EXPIRED;
  CHECK(refusal_of(use) == "CredentialInvalid");
  token.odd.login = CKR_USER_PIN_NOT_INITIALIZED;
  CHECK(refusal_of(use) == "CredentialInvalid");
  token.odd.login = CKR_OK;
  CHECK(refusal_of(use).empty());
}

TEST_CASE("a token with a keypad of its own is not given a PIN") {
  if (!ready()) return;
  OddToken token;
  token.options.uri.pin_source.clear();
  token.options.ask_pin = [](const std::string&) -> SecretBytes {
    FAIL("a PIN was asked for");
    return {};
  };
  token.odd.more_flags = CKF_PROTECTED_AUTHENTICATION_PATH;
  token.odd.login = CKR_FUNCTION_CANCELED;
  CHECK(refusal_of([&] { token.open()->describe(kName); }) == "Unavailable");
  CHECK(token.odd.logins == 1);
}

TEST_CASE("a token that was pulled is no damaged envelope") {
  if (!ready()) return;
  const OddToken token;
  const auto store = token.open();
  const std::string kid = store->describe(kName).kid;
  const Bytes wrapped = store->wrap(kid, SecretBytes::random(32));
  for (const CK_RV result :
       {CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT, CKR_SESSION_HANDLE_INVALID, CKR_DEVICE_ERROR}) {
    token.odd.decryption = result;
    CHECK(refusal_of([&] { store->unwrap(kid, wrapped); }) == "Unavailable");
  }
  token.odd.decryption = CKR_GENERAL_ERROR;  // what SoftHSM says of damaged data
  CHECK(refusal_of([&] { store->unwrap(kid, wrapped); }) == "EnvelopeNotOpened");
}

}  // namespace
}  // namespace driveprep::keywrap::pkcs11

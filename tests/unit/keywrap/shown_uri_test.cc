#include "keywrap/shown_uri.h"

#include <catch2/catch.hpp>

#include "keywrap/excerpt.h"
#include "keywrap/key_error.h"
#include "keywrap/key_store.h"

namespace driveprep::keywrap {
namespace {

TEST_CASE("an identifier that is none is shown without the PIN or password in it") {
  CHECK(shown_uri("pkcs11:token=t;object=o?pin-value=123456") ==
        "pkcs11:token=t;object=o?pin-value=(...)");
  CHECK(shown_uri("PKCS11:object=o?PIN-Value=12&34;5&module-path=/m.so") ==
        "PKCS11:object=o?PIN-Value=(...)&module-path=/m.so");
  CHECK(shown_uri("pkcs11:object=o;pin-value=1;2?pin-value=3&pin-source=/p") ==
        "pkcs11:object=o;pin-value=(...)?pin-value=(...)&pin-source=/p");
  CHECK(shown_uri("https://u:p@demo.vault.azure.net/keys/k") ==
        "https://(...)@demo.vault.azure.net/keys/k");
  CHECK(shown_uri("https://u:p/w@q@demo.vault.azure.net/keys/k") ==
        "https://(...)@demo.vault.azure.net/keys/k");
  CHECK(shown_uri("u:p@demo.vault.azure.net") == "(...)@demo.vault.azure.net");
}

TEST_CASE("what is no secret of an identifier is shown") {
  for (const char* uri :
       {"https://demo.vault.azure.net/keys/cmk/0123456789abcdef0123456789abcdef",
        "pkcs11:token=a@b;object=o;id=%01?module-path=/m.so&pin-source=file:/pin", "", "archive"}) {
    CHECK(shown_uri(uri) == uri);
  }
  CHECK(shown_uri("a\x1b[31m\nb") == "a?[31m?b");
  CHECK(shown_uri(std::string(5000, 'x')).size() < 410);
}

TEST_CASE("foreign text is shown without what looks like 32 random bytes in base64url") {
  const std::string key = "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A";
  REQUIRE(key.size() == 43);
  CHECK(excerpt("invalid value '" + key + "'", 300) == "invalid value '(...)'");
  CHECK(excerpt("value=" + key + "=, no", 300) == "value=(...)=, no");
  for (const char* word :
       {"11111111-2222-3333-4444-555555555555",
        "https://demo.vault.azure.net/keys/Cmk/0123456789abcdef0123456789abcdef",
        "UserErrorCMKMissingMangedIdentityPermissionOnKeyVault",
        "0123456789abcdef0123456789abcdef01234567",
        "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/G1/providers/x"}) {
    CHECK(excerpt(word, 300) == word);
  }
}

TEST_CASE("a key that its attributes refuse tells which answer of the vault said so") {
  KeyVersion key;
  key.kid = "https://demo.vault.azure.net/keys/k/0123456789abcdef0123456789abcdef";
  key.request_id = "r-1";
  const auto evidence_of = [&](auto use) {
    try {
      use();
    } catch (const KeyError& error) {
      return error.evidence();
    }
    return KeyEvidence{};
  };
  const auto wrap = [&] { require_can_wrap(key, 100); };
  const auto check = [](const KeyEvidence& evidence, int status, const char* id) {
    CHECK(evidence.http_status == status);
    CHECK(evidence.request_id == id);
    CHECK_FALSE(evidence.kid.empty());
  };
  check(evidence_of(wrap), 200, "r-1");
  check(evidence_of([&] { (void)require_can_unwrap(key, 100); }), 200, "r-1");
  key.enabled = true;
  key.expires = 100;
  check(evidence_of(wrap), 200, "r-1");
  key.expires.reset();
  key.not_before = 101;
  check(evidence_of(wrap), 200, "r-1");
  key.request_id.clear();  // a key of the local store or of a token
  check(evidence_of(wrap), 0, "");
}

}  // namespace
}  // namespace driveprep::keywrap

#include <catch2/catch.hpp>
#include <map>

#include "tests/support/store_conformance.h"
#include "tests/unit/keywrap_pkcs11/soft_token.h"

namespace driveprep::keywrap::pkcs11 {
namespace {

using test::Ability;

// Neither disabling nor deleting is something that tokens know, and their dates are whole days:
// token_store_test.cc has those.
class TokenUnderTest final : public test::StoreUnderTest {
 public:
  KeyStore& store() override { return *store_; }
  std::set<Ability> abilities() const override { return {Ability::kLimitsOperations}; }
  UnixSeconds now() const override { return system_clock_seconds(); }

  std::string make_key(const std::string& name) override { return add_version(name); }
  std::string add_version(const std::string& name) override {
    const Bytes id = {std::byte{++made_}};
    token_.make_pair(name, id);
    Pkcs11Uri uri = Pkcs11Uri::parse(versionless(name));
    uri.id = id;
    const std::string kid = store_->describe(uri.to_string()).kid;
    ids_[kid] = id;
    return kid;
  }
  std::string versionless(const std::string& name) const override {
    return "pkcs11:token=Test%20token%20%23" + token_.label().substr(token_.label().find('#') + 1) +
           ";object=" + name;
  }
  std::vector<std::string> unknown(const std::string& known_name) const override {
    return {versionless("unknown") + ";id=%01", versionless(known_name) + ";id=%99"};
  }
  std::vector<std::string> foreign(const std::string& kid) const override {
    return {kid + "/",
            "https://nobody.vault.azure.net/keys/alpha/" + std::string(32, '0'),
            kid + "?module-path=/usr/lib/x.so",
            kid + "?pin-value=1234",
            kid + ";slot-id=0",
            kid + ";manufacturer=Nobody",
            "pkcs11:serial=0000;object=alpha;id=%01",
            "pkcs11:token=Test%20token;object=alpha;id=%01",
            "pkcs11:"};
  }
  void set_operations(const std::string& kid, bool wrap, bool unwrap) override {
    token_.set_flag(CKO_PUBLIC_KEY, ids_.at(kid), CKA_ENCRYPT, wrap);
    token_.set_flag(CKO_PRIVATE_KEY, ids_.at(kid), CKA_DECRYPT, unwrap);
  }

 private:
  SoftToken token_;
  std::unique_ptr<Pkcs11KeyStore> store_ = Pkcs11KeyStore::open(token_.options());
  std::map<std::string, Bytes> ids_;
  unsigned char made_ = 0;
};

TEST_CASE("a store of token keys keeps the promises of every key store") {
  if (soft_module().empty()) {
    WARN("skipped: needs softhsm2");
    return;
  }
  test::check_store_conformance([] { return std::make_unique<TokenUnderTest>(); });
}

}  // namespace
}  // namespace driveprep::keywrap::pkcs11

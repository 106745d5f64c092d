#include "tests/support/store_conformance.h"
#include "tests/unit/keywrap/fixtures.h"

namespace driveprep::keywrap {
namespace {

using test::Ability;

class LocalStoreUnderTest final : public test::StoreUnderTest {
 public:
  KeyStore& store() override { return *fixture_.store; }
  std::set<Ability> abilities() const override {
    return {Ability::kPicksNewest, Ability::kDisables, Ability::kLimitsTime, Ability::kDeletes};
  }
  UnixSeconds now() const override { return fixture_.now; }

  std::string make_key(const std::string& name) override {
    return fixture_.store->create_key(name, kSmallKey).kid;
  }
  std::string add_version(const std::string& name) override {
    ++fixture_.now;
    return fixture_.store->new_version(name, kSmallKey).kid;
  }
  std::string versionless(const std::string& name) const override {
    return "keystore://" + fixture_.store->id() + "/keys/" + name;
  }
  std::vector<std::string> unknown(const std::string& known_name) const override {
    const std::string version = "/" + std::string(32, '0');
    return {versionless("unknown") + version, versionless(known_name) + version};
  }
  std::vector<std::string> foreign(const std::string& kid) const override {
    std::string other = kid;
    char& digit = other[std::string_view("keystore://").size()];
    digit = digit == '0' ? '1' : '0';
    return {other,
            kid + "/",
            "https://nobody.vault.azure.net/keys/alpha/" + std::string(32, '0'),
            kid + "?a=b",
            kid + "#a",
            kid.substr(0, kid.size() - 1)};
  }

  void set_enabled(const std::string& kid, bool enabled) override {
    fixture_.store->set_enabled(kid, enabled);
  }
  void set_validity(const std::string& kid, std::optional<UnixSeconds> not_before,
                    std::optional<UnixSeconds> expires) override {
    fixture_.store->set_validity(kid, not_before, expires);
  }
  void delete_key(const std::string& name) override { fixture_.store->delete_key(name); }
  void recover_key(const std::string& name) override { fixture_.store->recover_key(name); }

 private:
  StoreFixture fixture_;
};

TEST_CASE("the local key store keeps the promises of every key store") {
  test::check_store_conformance([] { return std::make_unique<LocalStoreUnderTest>(); });
}

}  // namespace
}  // namespace driveprep::keywrap

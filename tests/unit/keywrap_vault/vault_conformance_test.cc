#include <catch2/catch.hpp>
#include <fstream>

#include "keywrap/identity/client_secret.h"
#include "keywrap/vault/vault_key_store.h"
#include "tests/support/store_conformance.h"
#include "tests/unit/keywrap_vault/vault_double.h"

namespace driveprep::keywrap::vault {
namespace {

using nlohmann::json;
using test::Ability;

test::VaultDouble& the_double() {
  static test::VaultDouble vaults;
  return vaults;
}

// A vault of its own, and the way to it as the program goes it.
class VaultUnderTest final : public test::StoreUnderTest {
 public:
  VaultUnderTest()
      : host_(make_vault()),
        transport_(the_double().endpoints(host_)),
        sender_(transport_),
        tokens_(std::make_shared<identity::ClientSecretSource>(
            identity::ClientIdentity{client_id_, {}}, secret_file_, *known_cloud("public"),
            sender_)),
        store_({*known_cloud("public"), {}, false}, sender_, tokens_) {}

  KeyStore& store() override { return store_; }
  std::set<Ability> abilities() const override {
    return {Ability::kPicksNewest, Ability::kDisables, Ability::kLimitsTime, Ability::kDeletes,
            Ability::kLimitsOperations};
  }
  UnixSeconds now() const override { return system_clock_seconds(); }

  std::string make_key(const std::string& name) override {
    return call("create_key", {{"name", name}}).at("kid");
  }
  std::string add_version(const std::string& name) override { return make_key(name); }
  std::string versionless(const std::string& name) const override {
    return "https://" + host_ + "/keys/" + name;
  }
  std::vector<std::string> unknown(const std::string& known_name) const override {
    const std::string version = "/" + std::string(32, '0');
    return {versionless("unknown") + version, versionless(known_name) + version};
  }
  std::vector<std::string> foreign(const std::string& kid) const override {
    return {"http" + kid.substr(5), kid + "?a=b", kid + "#a", kid.substr(0, kid.size() - 1),
            "https://evil" + host_.substr(host_.find('.') + 1) + kid.substr(kid.find("/keys"))};
  }

  void set_enabled(const std::string& kid, bool enabled) override {
    set(kid, {{"enabled", enabled}});
  }
  void set_validity(const std::string& kid, std::optional<UnixSeconds> not_before,
                    std::optional<UnixSeconds> expires) override {
    set(kid, {{"nbf", not_before ? json(*not_before) : json()},
              {"exp", expires ? json(*expires) : json()}});
  }
  void delete_key(const std::string& name) override { call("delete_key", {{"name", name}}); }
  void recover_key(const std::string& name) override { call("recover_key", {{"name", name}}); }
  void set_operations(const std::string& kid, bool wrap, bool unwrap) override {
    json operations = json::array();
    if (wrap) operations.push_back("wrapKey");
    if (unwrap) operations.push_back("unwrapKey");
    set(kid, {{"key_ops", operations}});
  }

 private:
  json call(const char* operation, json arguments) {
    arguments["vault"] = host_;
    return the_double().call(operation, arguments);
  }
  void set(const std::string& kid, json members) {
    const auto uri = parse_vault_key_uri(kid, *known_cloud("public")).uri.value();
    members["name"] = uri.name;
    members["version"] = uri.version;
    call("set_key", std::move(members));
  }

  // Also the client that may use it; returns the host.
  std::string make_vault() {
    static int number = 0;
    const std::string name = "unit-" + std::to_string(++number);
    const std::string host = the_double().call("create_vault", {{"name", name}}).at("host");
    client_id_ = the_double()
                     .call("create_identity", {{"name", name}, {"secret", "the secret"}})
                     .at("client_id");
    the_double().call(
        "set_permissions",
        {{"vault", host}, {"identity", name}, {"operations", {"get", "wrapKey", "unwrapKey"}}});
    secret_file_ = the_double().directory() / (name + ".secret");
    std::ofstream(secret_file_) << "the secret\n";
    std::filesystem::permissions(secret_file_, std::filesystem::perms::owner_read);
    return host;
  }

  std::string client_id_;
  std::filesystem::path secret_file_;
  std::string host_;
  http::CurlTransport transport_;
  http::Sender sender_;
  identity::TokenCache tokens_;
  VaultKeyStore store_;
};

TEST_CASE("a vault keeps the promises of every key store") {
  if (!test::VaultDouble::available()) {
    WARN("skipped: the vault double needs python3-cryptography");
    return;
  }
  test::check_store_conformance([] { return std::make_unique<VaultUnderTest>(); });
}

}  // namespace
}  // namespace driveprep::keywrap::vault

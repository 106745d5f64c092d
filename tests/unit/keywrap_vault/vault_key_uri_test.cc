#include "keywrap/vault/vault_key_uri.h"

#include <catch2/catch.hpp>

namespace driveprep::keywrap::vault {
namespace {

const std::string kVersion = "0123456789abcdef0123456789ABCDEF";

ParsedKeyUri parsed(const std::string& text, const char* cloud = "public") {
  return parse_vault_key_uri(text, *known_cloud(cloud));
}

// The condition that is wrong with the text; its name, "" for an identifier.
std::string fault(const std::string& text, const char* cloud = "public") {
  const ParsedKeyUri result = parsed(text, cloud);
  CHECK(result.uri.has_value() != result.fault.has_value());
  return result.fault ? std::string(to_string(result.fault->condition)) : "";
}

TEST_CASE("an identifier of a key is read in any case, with and without version") {
  for (const std::string& text : {std::string("https://demo.vault.azure.net/keys/cmk"),
                                  std::string("HTTPS://Demo.Vault.Azure.Net:443/Keys/CMK/"),
                                  std::string("https://demo.vault.azure.net:443/keys/cmk")}) {
    CAPTURE(text);
    const auto uri = parsed(text).uri;
    REQUIRE(uri);
    CHECK_FALSE(uri->has_version());
    CHECK(uri->kind == StoreKind::kVault);
    CHECK(uri->to_string() == "https://demo.vault.azure.net/keys/cmk");
  }
  const auto uri = parsed("https://demo.vault.azure.net/keys/cmk/" + kVersion + "/").uri;
  REQUIRE(uri);
  CHECK(uri->version == "0123456789abcdef0123456789abcdef");
  CHECK(uri->to_string().ends_with("/keys/cmk/0123456789abcdef0123456789abcdef"));
}

TEST_CASE("each cloud knows its own vaults and managed HSMs only") {
  CHECK(parsed("https://h.managedhsm.azure.net/keys/k").fault);  // a name of one letter
  CHECK(parsed("https://hsm.managedhsm.azure.net/keys/k").uri->kind == StoreKind::kManagedHsm);
  CHECK(fault("https://demo.vault.usgovcloudapi.net/keys/k") == "HostNotAllowed");
  CHECK(fault("https://demo.vault.usgovcloudapi.net/keys/k", "us-government").empty());
  CHECK(fault("https://demo.vault.azure.cn/keys/k", "china").empty());
  CHECK(fault("https://demo.vault.azure.net/keys/k", "china") == "HostNotAllowed");
  CHECK(fault("https://demo.vault.microsoftazure.de/keys/k") == "HostNotAllowed");
}

TEST_CASE("a cloud without Managed HSM has none at any host") {
  const Cloud cloud{"custom", "vault.contoso.test", "", {"login.contoso.test"}};
  CHECK(parse_vault_key_uri("https://abc.vault.contoso.test/keys/k", cloud).uri->kind ==
        StoreKind::kVault);
  for (const char* host : {"abc.", "abc", "abc.managedhsm.azure.net", "."}) {
    CAPTURE(host);
    const auto result = parse_vault_key_uri("https://" + std::string(host) + "/keys/k", cloud);
    REQUIRE(result.fault);
    CHECK(result.fault->condition == Condition::kHostNotAllowed);
    CHECK(result.fault->why.find(" or ") == std::string::npos);
  }
}

TEST_CASE("http is another mistake than no URI at all") {
  CHECK(fault("http://demo.vault.azure.net/keys/k") == "SchemeNotHttps");
  CHECK(fault("HTTP://demo.vault.azure.net/keys/k") == "SchemeNotHttps");
  CHECK(fault("ftp://demo.vault.azure.net/keys/k") == "UriInvalid");
  CHECK(fault("demo.vault.azure.net/keys/k") == "UriInvalid");
  CHECK(fault("") == "UriInvalid");
}

TEST_CASE("a host counts by whole labels") {
  for (const char* host :
       {"evilvault.azure.net", "vault.azure.net", "a.b.vault.azure.net",
        "demo.vault.azure.net.example.org", "demo.vault.azure.net.", "vault.azure.net.demo",
        "demo.privatelink.vaultcore.azure.net", "demo-vault.azure.net", "azure.net", "localhost"}) {
    CAPTURE(host);
    CHECK(fault(std::string("https://") + host + "/keys/k") == "HostNotAllowed");
  }
}

TEST_CASE("what could be read in two ways is refused") {
  const std::string host = "https://demo.vault.azure.net";
  const auto text = GENERATE_COPY(
      host + ":8443/keys/k", host + ":80/keys/k", host + ":/keys/k", host + ":443x/keys/k",
      std::string("https://user@demo.vault.azure.net/keys/k"),
      std::string("https://demo.vault.azure.net@evil.example/keys/k"), host + "/keys/k?a=b",
      host + "/keys/k#x", host + "/keys/%6b", host + "/keys/../keys/k", host + "/keys/./k",
      host + "/secrets/k", host + "/certificates/k", host + "/key/k", host + "/keys",
      host + "/keys/", host, host + "/", host + "//keys/k", host + "/keys//k",
      host + "/keys/k/short", host + "/keys/k/" + kVersion + "/x",
      host + "/keys/k/" + kVersion + "0", host + "/keys/k_1", host + "/keys/k\\x",
      host + "/keys/ k", " " + host + "/keys/k", host + "/keys/k\n",
      host + "/keys/" + std::string(128, 'k'), std::string("https://de%2e.vault.azure.net/keys/k"),
      std::string("https://1demo.vault.azure.net/keys/k"),
      std::string("https://de--mo.vault.azure.net/keys/k"),
      std::string("https://demo-.vault.azure.net/keys/k"),
      std::string("https://ab.vault.azure.net/keys/k"),
      std::string("https://abcdefghijklmnopqrstuvwxy.vault.azure.net/keys/k"));
  CAPTURE(text);
  CHECK(fault(text) == "UriInvalid");
}

TEST_CASE("three values and one URL name the same key") {
  const Cloud cloud = *known_cloud("public");
  const auto by_url = parsed("https://demo.vault.azure.net/keys/cmk/" + kVersion).uri;
  for (const char* vault : {"https://demo.vault.azure.net", "https://DEMO.vault.azure.net/"}) {
    CHECK(parse_vault_key(vault, "CMK", kVersion, cloud).uri == by_url);
    CHECK_FALSE(parse_vault_key(vault, "cmk", "", cloud).uri->has_version());
  }
  CHECK(parse_vault_key("https://demo.vault.azure.net/keys", "cmk", "", cloud).fault);
  CHECK(parse_vault_key("https://demo.vault.azure.net", "c_k", "", cloud).fault);
  CHECK(parse_vault_key("http://demo.vault.azure.net", "cmk", "", cloud).fault->condition ==
        Condition::kSchemeNotHttps);
}

}  // namespace
}  // namespace driveprep::keywrap::vault

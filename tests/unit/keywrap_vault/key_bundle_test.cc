#include "keywrap/vault/key_bundle.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/encoding.h"

namespace driveprep::keywrap::vault {
namespace {

using nlohmann::json;

const std::string kKid = "https://demo.vault.azure.net/keys/cmk/0123456789abcdef0123456789abcdef";
const Cloud kCloud = *known_cloud("public");

json sample() {
  Bytes modulus(256, std::byte{0xAB});
  return {{"key",
           {{"kid", kKid},
            {"kty", "RSA"},
            {"n", base64url(modulus)},
            {"e", "AQAB"},
            {"key_ops", {"wrapKey", "unwrapKey"}}}},
          {"attributes",
           {{"enabled", true},
            {"created", 100},
            {"updated", 200},
            {"nbf", 50},
            {"exp", 900},
            {"recoveryLevel", "Recoverable"},
            {"recoverableDays", 90}}},
          {"tags", {{"any", "thing"}}},
          {"something", {{"new", json::array({1, 2})}}}};
}

VaultKeyUri asked(const std::string& text = "https://demo.vault.azure.net/keys/cmk") {
  return *parse_vault_key_uri(text, kCloud).uri;
}

KeyVersion parse(const json& bundle, const VaultKeyUri& uri = asked()) {
  return parse_key_bundle(bundle.dump(), uri, kCloud);
}

TEST_CASE("a bundle is read, and what is not known in it ignored") {
  const KeyVersion key = parse(sample());
  CHECK(key.kid == kKid);
  CHECK(key.key_type == "RSA");
  CHECK(key.bits == 2048);
  CHECK(key.operations == std::vector<std::string>{"wrapKey", "unwrapKey"});
  CHECK(key.enabled);
  CHECK(key.not_before == 50);
  CHECK(key.expires == 900);
  CHECK(key.recovery_level == "Recoverable");
  CHECK(key.recoverable_days == 90U);
  CHECK_FALSE(key.managed);
  CHECK_FALSE(key.exportable);
  CHECK_FALSE(key.has_private_members);
}

TEST_CASE("the length of a modulus is measured in bits that count") {
  const auto bits = [](Bytes modulus) {
    json bundle = sample();
    bundle["key"]["n"] = base64url(modulus);
    return parse(bundle).bits;
  };
  Bytes modulus(256, std::byte{0xFF});
  CHECK(bits(modulus) == 2048);
  modulus.front() = std::byte{0x7F};
  CHECK(bits(modulus) == 2047);
  modulus.front() = std::byte{0x01};
  CHECK(bits(modulus) == 2041);
  modulus.insert(modulus.begin(), 3, std::byte{0});
  CHECK(bits(modulus) == 2041);
  CHECK(bits(Bytes(257, std::byte{0x80})) == 2056);
  CHECK(bits(Bytes(10, std::byte{0})) == 0);
}

TEST_CASE("absent operations are no restriction, an empty list is one") {
  json bundle = sample();
  bundle["key"].erase("key_ops");
  CHECK_FALSE(parse(bundle).operations);
  bundle["key"]["key_ops"] = json::array();
  CHECK(parse(bundle).operations->empty());
}

TEST_CASE("an answer about another key than the one asked for is refused") {
  const auto with_kid = [](const std::string& kid) {
    json bundle = sample();
    bundle["key"]["kid"] = kid;
    return bundle;
  };
  const std::string version = "/0123456789abcdef0123456789abcdef";
  for (const std::string& kid :
       {"https://other.vault.azure.net/keys/cmk" + version,
        "https://demo.vault.azure.net/keys/other" + version,
        std::string("https://demo.vault.azure.net/keys/cmk"),
        "https://demo.vault.azure.net.evil.example/keys/cmk" + version, std::string("cmk")}) {
    CAPTURE(kid);
    CHECK_THROWS_AS(parse(with_kid(kid)), FormatError);
  }
  CHECK(parse(with_kid("https://DEMO.vault.azure.net/Keys/CMK" + version)).kid == kKid);
  CHECK_THROWS_AS(
      parse(sample(), asked("https://demo.vault.azure.net/keys/cmk/" + std::string(32, 'f'))),
      FormatError);
}

TEST_CASE("private members, certificates and exportable keys are noticed") {
  for (const char* member : {"d", "p", "q", "dp", "dq", "qi", "k"}) {
    json bundle = sample();
    bundle["key"][member] = "AQAB";
    CHECK(parse(bundle).has_private_members);
  }
  json bundle = sample();
  bundle["managed"] = true;
  bundle["attributes"]["exportable"] = true;
  CHECK(parse(bundle).managed);
  CHECK(parse(bundle).exportable);
}

TEST_CASE("times that cannot be shown or compared are refused, not bent") {
  const auto with = [](const char* member, const json& value) {
    json bundle = sample();
    bundle["attributes"][member] = value;
    return parse(bundle);
  };
  for (const char* member : {"nbf", "exp", "created", "updated"}) {
    CAPTURE(member);
    CHECK_NOTHROW(with(member, 0));
    CHECK_NOTHROW(with(member, kLastSecond));
    for (const json& value : {json(kLastSecond + 1), json(INT64_MAX), json(UINT64_MAX), json(-1),
                              json(INT64_MIN), json(1.5e9), json("1500000000")}) {
      CAPTURE(value.dump());
      CHECK_THROWS_AS(with(member, value), FormatError);
    }
  }
  CHECK(with("exp", kLastSecond).expires == 253'402'300'799);
  CHECK_FALSE(with("recoverableDays", -1).recoverable_days);
  CHECK_FALSE(with("recoverableDays", UINT64_MAX).recoverable_days);
}

TEST_CASE("what is no bundle is refused") {
  for (const char* text : {"", "[]", "{}", R"({"key":{}})", R"({"key":{},"attributes":{}})",
                           R"({"key":1,"attributes":{}})"}) {
    CHECK_THROWS_AS(parse_key_bundle(text, asked(), kCloud), FormatError);
  }
  for (const auto& [pointer, value] : {std::pair<const char*, json>{"/key/n", "not base64!"},
                                       {"/attributes/exp", "soon"},
                                       {"/attributes/enabled", "true"},
                                       {"/key/key_ops", "wrapKey"},
                                       {"/key/kty", 7}}) {
    json bundle = sample();
    bundle[json::json_pointer(pointer)] = value;
    CAPTURE(pointer);
    CHECK_THROWS_AS(parse(bundle), FormatError);
  }
}

}  // namespace
}  // namespace driveprep::keywrap::vault

#include "keywrap/envelope.h"

#include <nlohmann/json.hpp>

#include <set>

#include "base/encoding.h"
#include "keywrap/content_cipher.h"
#include "tests/unit/keywrap/fixtures.h"

namespace driveprep::keywrap {
namespace {

using nlohmann::json;

// Counts what is asked of a real store, and can be made to lie.
class SpyStore final : public KeyStore {
 public:
  explicit SpyStore(KeyStore& real) : real_(real) {}
  bool owns(std::string_view kid) const override { return real_.owns(kid); }
  KeyVersion describe(std::string_view kid) override { return ++calls, real_.describe(kid); }
  Bytes wrap(std::string_view kid, const SecretBytes& secret) override {
    ++calls;
    return real_.wrap(kid, secret);
  }
  Unwrapped do_unwrap(std::string_view kid, ByteView wrapped, WrapAlgorithm algorithm) override {
    ++calls;
    Unwrapped result = real_.unwrap(kid, wrapped, algorithm);
    if (lie) result.secret.span()[0] ^= std::byte{1};
    return result;
  }
  int calls = 0;
  bool lie = false;

 private:
  KeyStore& real_;
};

json protected_of(const json& envelope) {
  return json::parse(as_text(*from_base64url(envelope["protected"].get<std::string>())));
}

// An envelope over any payload text, as somebody with the public key could make it.
std::string envelope_over(std::string_view payload, StoreFixture& f, std::size_t key_bytes = 32) {
  Envelope envelope = Envelope::parse(seal(sample_binding(), sample_payload(), *f.store, f.kid));
  const SecretBytes key = SecretBytes::random(32);
  Sealed sealed = gcm_seal(key, envelope.iv, as_bytes(envelope.protected_header),
                           SecretBytes::copy_of(payload));
  envelope.ciphertext = sealed.ciphertext;
  envelope.tag = sealed.tag;
  SecretBytes wrapped = key.clone();
  wrapped.truncate(key_bytes);
  envelope.recipients = {{f.kid, f.store->wrap(f.kid, wrapped)}};
  return envelope.to_json();
}

const std::string kGoodPayload = std::string(R"({"v":1,"kind":"recovery-password","value":")") +
                                 std::string(kPassword) +
                                 R"(","protectorId":"4967d63b-2e29-4ad8-8399-f6a339e3d001",)"
                                 R"("created":"2023-11-14T22:13:20Z"})";

TEST_CASE("an envelope gives back what was sealed") {
  StoreFixture& f = unchanged_store();
  const std::string text = seal(sample_binding(), sample_payload(), *f.store, f.kid);
  const Opened opened = open(text, sample_binding(), *f.store);
  CHECK(opened.payload.value.text() == kPassword);
  CHECK(opened.payload.protector_id == sample_payload().protector_id);
  CHECK(opened.payload.created == sample_payload().created);
  CHECK(opened.kid == f.kid);
  CHECK(opened.warnings.empty());
}

TEST_CASE("a volume key goes into an envelope of its own purpose") {
  StoreFixture& f = unchanged_store();
  Binding binding = sample_binding();
  binding.purpose = Purpose::kVolumeKey;
  const std::string text = seal(binding, sample_payload("AAECAwQ-_w"), *f.store, f.kid);
  CHECK(open(text, binding, *f.store).payload.value.text() == "AAECAwQ-_w");
  CHECK(code_of([&] { open(text, sample_binding(), *f.store); }) == "envelope-binding-mismatch");
}

TEST_CASE("the envelope has the members of the general JSON serialisation and no secret") {
  StoreFixture& f = unchanged_store();
  const std::string text = seal(sample_binding(), sample_payload(), *f.store, f.kid);
  CHECK(text.find("238810") == std::string::npos);
  const json envelope = json::parse(text);
  CHECK(envelope.size() == 5);
  CHECK(protected_of(envelope) == json({{"typ", "JOSE+JSON"},
                                        {"cty", "json"},
                                        {"enc", "A256GCM"},
                                        {"ie.v", 1},
                                        {"ie.job", "import-2026-11"},
                                        {"ie.drive", "ZC1A0F7K"},
                                        {"ie.purpose", "bitlocker-recovery-password"}}));
  REQUIRE(envelope["recipients"].size() == 1);
  CHECK(envelope["recipients"][0]["header"] == json({{"alg", "RSA-OAEP-256"}, {"kid", f.kid}}));
}

TEST_CASE("no two envelopes share a content key, a nonce or a ciphertext") {
  StoreFixture& f = unchanged_store();
  std::set<std::string> nonces;
  std::set<Bytes> texts;
  for (int i = 0; i < 8; ++i) {
    const auto e = Envelope::parse(seal(sample_binding(), sample_payload(), *f.store, f.kid));
    nonces.insert(hex_lower(e.iv));
    texts.insert(e.ciphertext);
  }
  CHECK(nonces.size() == 8);
  CHECK(texts.size() == 8);
}

TEST_CASE("an envelope of another drive, job or purpose is refused before any key is touched") {
  StoreFixture& f = unchanged_store();
  SpyStore spy(*f.store);
  const std::string text = seal(sample_binding(), sample_payload(), *f.store, f.kid);
  Binding drive = sample_binding();
  drive.drive = "zc1a0f7k";
  Binding job = sample_binding();
  job.job = "import-2026-12";
  Binding purpose = sample_binding();
  purpose.purpose = Purpose::kVolumeKey;
  for (const Binding& expected : {drive, job, purpose}) {
    CHECK(code_of([&] { open(text, expected, spy); }) == "envelope-binding-mismatch");
  }
  CHECK(spy.calls == 0);
}

TEST_CASE("one altered bit anywhere is refused") {
  StoreFixture& f = unchanged_store();
  const Envelope good = Envelope::parse(seal(sample_binding(), sample_payload(), *f.store, f.kid));
  const Envelope other = Envelope::parse(seal(sample_binding(), sample_payload(), *f.store, f.kid));
  const auto altered = [&](const std::function<void(Envelope&)>& alter) {
    Envelope envelope = good;
    alter(envelope);
    return code_of([&] { open(envelope.to_json(), sample_binding(), *f.store); });
  };
  const std::string refused = "envelope-not-opened";
  constexpr std::byte kBit{0x10};
  CHECK(altered([](Envelope&) {}).empty());
  CHECK(altered([](Envelope& e) { e.tag[5] ^= kBit; }) == refused);
  CHECK(altered([](Envelope& e) { e.iv[0] ^= kBit; }) == refused);
  CHECK(altered([](Envelope& e) { e.ciphertext[20] ^= kBit; }) == refused);
  CHECK(altered([](Envelope& e) { e.ciphertext.pop_back(); }) == refused);
  CHECK(altered([](Envelope& e) { e.ciphertext.clear(); }) == refused);
  CHECK(altered([](Envelope& e) { e.recipients[0].encrypted_key[9] ^= kBit; }) == refused);
  CHECK(altered([](Envelope& e) { e.recipients[0].encrypted_key.pop_back(); }) == refused);
  CHECK(altered([&](Envelope& e) { e.recipients = other.recipients; }) == refused);
  // The same header, encoded from another text.
  CHECK(altered([&](Envelope& e) {
          const std::string header(as_text(*from_base64url(good.protected_header)));
          e.protected_header = base64url(as_bytes(" " + header));
        }) == refused);
}

TEST_CASE("a payload other than the sealed form is refused like a wrong key") {
  StoreFixture& f = unchanged_store();
  const auto opened = [&](const std::string& payload, std::size_t key_bytes = 32) {
    return code_of([&] { open(envelope_over(payload, f, key_bytes), sample_binding(), *f.store); });
  };
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = kGoodPayload;
    return text.replace(text.find(from), from.size(), to);
  };
  CHECK(opened(kGoodPayload).empty());
  CHECK(opened(kGoodPayload, 31) == "envelope-not-opened");
  for (const std::string& bad :
       {std::string(), std::string("{}"), with("238810", "238811"), with("\"v\":1", "\"v\":2"),
        with("\"v\":1", "\"v\":1,\"v\":1"), with("\"v\":1", "\"v\":1,\"w\":1"),
        with("recovery-password", "volume-key"), with("4967d63b", "x"), with("2023-", "23-"),
        with("20Z", "20Z "), with("\"v\":1", "\"v\":\"1\"")}) {
    CAPTURE(bad);
    CHECK(opened(bad) == "envelope-not-opened");
  }
}

TEST_CASE("an envelope that is not strictly of the form is refused") {
  StoreFixture& f = unchanged_store();
  SpyStore spy(*f.store);
  const std::string text = seal(sample_binding(), sample_payload(), *f.store, f.kid);
  const auto code = [&](const std::string& bad) {
    return code_of([&] { open(bad, sample_binding(), spy); });
  };
  const auto edited = [&](const std::function<void(json&)>& edit) {
    json document = json::parse(text);
    edit(document);
    return code(document.dump());
  };
  const auto header_edited = [&](const std::function<void(json&)>& edit) {
    return edited([&](json& d) {
      json header = protected_of(d);
      edit(header);
      d["protected"] = base64url(as_bytes(header.dump()));
    });
  };
  const std::string corrupt = "envelope-corrupt";
  CHECK(code("") == corrupt);
  CHECK(code("[]") == corrupt);
  CHECK(code(text + std::string(64 * 1024, ' ')) == corrupt);
  CHECK(code(text.substr(0, text.size() - 3)) == corrupt);
  CHECK(code("{\"tag\":\"AAAA\"," + text.substr(1)) == corrupt);
  for (const char* name : {"protected", "recipients", "iv", "ciphertext", "tag"}) {
    CAPTURE(name);
    CHECK(edited([&](json& d) { d.erase(name); }) == corrupt);
    CHECK(edited([&](json& d) { d[name] = 7; }) == corrupt);
  }
  for (const char* name : {"aad", "unprotected", "x"}) {
    CHECK(edited([&](json& d) { d[name] = "AAAA"; }) == corrupt);
  }
  CHECK(edited([](json& d) { d["iv"] = "AAAA"; }) == corrupt);
  CHECK(edited([](json& d) { d["tag"] = d["tag"].get<std::string>() + "=="; }) == corrupt);
  CHECK(edited([](json& d) { d["ciphertext"] = "a b"; }) == corrupt);
  CHECK(edited([](json& d) { d["ciphertext"] = std::string(8000, 'A'); }) == corrupt);
  CHECK(edited([](json& d) { d["protected"] = "!"; }) == corrupt);
  CHECK(edited([](json& d) { d["recipients"] = json::array(); }) == corrupt);
  CHECK(edited([](json& d) { d["recipients"] = json::array({1}); }) == corrupt);
  CHECK(edited([](json& d) {
          for (int i = 0; i < 8; ++i) d["recipients"].push_back(d["recipients"][0]);
        }) == corrupt);
  CHECK(edited([](json& d) { d["recipients"][0]["header"]["epk"] = 1; }) == corrupt);
  CHECK(edited([](json& d) { d["recipients"][0]["header"]["kid"] = "a\nb"; }) == corrupt);
  CHECK(edited([](json& d) { d["recipients"][0]["header"]["alg"] = "RSA1_5"; }) ==
        "envelope-algorithm");
  CHECK(edited([](json& d) { d["recipients"][0]["header"]["alg"] = "RSA-OAEP"; }) ==
        "envelope-algorithm");
  CHECK(header_edited([](json& h) { h["enc"] = "A128GCM"; }) == "envelope-algorithm");
  CHECK(header_edited([](json& h) { h["zip"] = "DEF"; }) == corrupt);
  CHECK(header_edited([](json& h) { h["crit"] = {"x"}; }) == corrupt);
  CHECK(header_edited([](json& h) { h["ie.v"] = 2; }) == corrupt);
  CHECK(header_edited([](json& h) { h["ie.purpose"] = "other"; }) == corrupt);
  CHECK(header_edited([](json& h) { h["ie.job"] = ""; }) == corrupt);
  CHECK(header_edited([](json& h) { h["typ"] = "JWT"; }) == corrupt);
  CHECK(header_edited([](json& h) { h.erase("cty"); }) == corrupt);
  CHECK(spy.calls == 0);
}

TEST_CASE("what must not be sealed is refused") {
  StoreFixture f;
  const auto sealing = [&](const Binding& binding, std::string_view value) {
    return code_of([&] { seal(binding, sample_payload(value), *f.store, f.kid); });
  };
  CHECK(sealing(sample_binding(), "238811-662376-448998-450120-652806-203390-606320-483076") ==
        "envelope-value-invalid");
  CHECK(sealing({"job", "drive", Purpose::kVolumeKey}, "a\"b") == "envelope-value-invalid");
  CHECK(sealing({"job", "drive", Purpose::kVolumeKey}, "") == "envelope-value-invalid");
  CHECK(sealing({"", "drive", Purpose::kRecoveryPassword}, kPassword) ==
        "envelope-binding-invalid");
  CHECK(sealing({"job", "a\xFF", Purpose::kRecoveryPassword}, kPassword) ==
        "envelope-binding-invalid");
  CHECK(sealing({"job", "a\tb", Purpose::kRecoveryPassword}, kPassword) ==
        "envelope-binding-invalid");
  f.store->set_enabled(f.kid, false);
  CHECK(sealing(sample_binding(), kPassword) == "CmkErrorKeyDisabled");
}

TEST_CASE("a key that does not give back what it wrapped is found out at once") {
  StoreFixture& f = unchanged_store();
  SpyStore spy(*f.store);
  spy.lie = true;
  CHECK(code_of([&] { seal(sample_binding(), sample_payload(), spy, f.kid); }) == "wrap-failed");
}

TEST_CASE("an envelope with two recipients opens by either key") {
  StoreFixture f;
  Envelope envelope = Envelope::parse(seal(sample_binding(), sample_payload(), *f.store, f.kid));
  const std::string next = f.store->new_version("default", kSmallKey).kid;
  const SecretBytes key = f.store->unwrap(f.kid, envelope.recipients[0].encrypted_key).secret;
  envelope.recipients.insert(envelope.recipients.begin(), {next, f.store->wrap(next, key)});
  const std::string text = envelope.to_json();

  CHECK(open(text, sample_binding(), *f.store).kid == next);
  f.store->set_enabled(next, false);
  CHECK(open(text, sample_binding(), *f.store).kid == f.kid);
  f.store->set_enabled(f.kid, false);
  CHECK(code_of([&] { open(text, sample_binding(), *f.store); }) == "CmkErrorKeyDisabled");
}

TEST_CASE("an expired key still opens an envelope, with a warning") {
  StoreFixture f;
  const std::string text = seal(sample_binding(), sample_payload(), *f.store, f.kid);
  f.store->set_validity(f.kid, std::nullopt, f.now);
  CHECK(open(text, sample_binding(), *f.store).warnings.size() == 1);
}

TEST_CASE("an envelope under a key of another store is told apart from a damaged one") {
  StoreFixture& f = unchanged_store();
  const test::ScratchDirectory temporary;
  const auto other =
      LocalKeyStore::open_or_create({temporary.path() / "store", {}, system_clock_seconds});
  const std::string text = seal(sample_binding(), sample_payload(), *f.store, f.kid);
  CHECK(code_of([&] { open(text, sample_binding(), *other); }) == "envelope-key-foreign");
}

}  // namespace
}  // namespace driveprep::keywrap

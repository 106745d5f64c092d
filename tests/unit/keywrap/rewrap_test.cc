#include "keywrap/rewrap.h"

#include <algorithm>

#include "tests/unit/keywrap/fixtures.h"

namespace driveprep::keywrap {
namespace {

// One envelope under the first version of a key that has two.
struct Rotated : StoreFixture {
  Envelope envelope;
  std::string newer;

  Rotated() {
    envelope = Envelope::parse(seal(sample_binding(), sample_payload(), *store, kid));
    newer = store->new_version("default", kSmallKey).kid;
  }
  std::string opened_with(const Envelope& changed) {
    return open(changed.to_json(), sample_binding(), *store).kid;
  }
};

TEST_CASE("re-wrapping changes the recipients and nothing that is sealed") {
  Rotated f;
  const Rewrapped result = add_recipient(f.envelope, *f.store, f.newer);
  CHECK(result.opened_by == f.kid);
  CHECK(result.warning.empty());
  REQUIRE(result.envelope.recipients.size() == 2);
  CHECK(result.envelope.recipients.front().kid == f.newer);
  CHECK(result.envelope.recipients.back().kid == f.kid);
  CHECK(result.envelope.ciphertext == f.envelope.ciphertext);
  CHECK(result.envelope.protected_header == f.envelope.protected_header);
  CHECK(sealed_digest(result.envelope) == sealed_digest(f.envelope));
  CHECK(f.opened_with(result.envelope) == f.newer);
}

TEST_CASE("either recipient opens a re-wrapped envelope alone") {
  Rotated f;
  const Envelope both = add_recipient(f.envelope, *f.store, f.newer).envelope;
  f.store->set_enabled(f.newer, false);
  CHECK(f.opened_with(both) == f.kid);
  f.store->set_enabled(f.newer, true);
  f.store->set_enabled(f.kid, false);
  CHECK(f.opened_with(both) == f.newer);
}

TEST_CASE("an expired key still hands over to the next one, with a warning") {
  Rotated f;
  f.store->set_validity(f.kid, {}, f.now);
  CHECK_FALSE(add_recipient(f.envelope, *f.store, f.newer).warning.empty());
}

TEST_CASE("a disabled key hands over nothing, and an unusable new one gets nothing") {
  Rotated f;
  f.store->set_enabled(f.newer, false);
  CHECK(code_of([&] { add_recipient(f.envelope, *f.store, f.newer); }) == "CmkErrorKeyDisabled");
  f.store->set_enabled(f.newer, true);
  f.store->set_enabled(f.kid, false);
  CHECK(code_of([&] { add_recipient(f.envelope, *f.store, f.newer); }) == "CmkErrorKeyDisabled");
}

TEST_CASE("a key that the envelope is under already comes to the front by itself") {
  Rotated f;
  const Envelope both = add_recipient(f.envelope, *f.store, f.newer).envelope;
  f.store->set_enabled(f.newer, false);
  const Rewrapped back = prefer_recipient(both, *f.store, f.kid);
  CHECK(back.opened_by == f.kid);
  REQUIRE(back.envelope.recipients.size() == 2);
  CHECK(back.envelope.recipients.front().kid == f.kid);
  CHECK(back.envelope.recipients.front().encrypted_key ==
        f.envelope.recipients.front().encrypted_key);
  CHECK(back.envelope.recipients.back().kid == f.newer);
  CHECK(sealed_digest(back.envelope) == sealed_digest(f.envelope));
  CHECK(code_of([&] { prefer_recipient(both, *f.store, f.newer); }) == "CmkErrorKeyDisabled");
}

TEST_CASE("the old key is dropped only while the new one opens the envelope") {
  Rotated f;
  const Envelope both = add_recipient(f.envelope, *f.store, f.newer).envelope;
  const Envelope alone = drop_recipient(both, *f.store, f.kid, f.newer);
  REQUIRE(alone.recipients.size() == 1);
  CHECK(f.opened_with(alone) == f.newer);
  CHECK(sealed_digest(alone) == sealed_digest(f.envelope));
  f.store->set_enabled(f.newer, false);
  CHECK(code_of([&] { drop_recipient(both, *f.store, f.kid, f.newer); }) == "CmkErrorKeyDisabled");
}

TEST_CASE("an envelope does not collect keys without end") {
  Rotated f;
  while (f.envelope.recipients.size() < kMaxRecipients) {
    f.envelope.recipients.push_back(f.envelope.recipients.front());
  }
  CHECK(code_of([&] { add_recipient(f.envelope, *f.store, f.newer); }) == "envelope-recipients");
}

TEST_CASE("a customer's secret travels in an envelope of its own purpose") {
  auto& f = unchanged_store();
  const Binding binding{"import-2026-11", "unlock", Purpose::kDeviceUnlockKey};
  const std::string text = "p\"a\\ss \xC3\xBC 1";
  const std::string sealed = seal(
      binding, {SecretBytes::copy_of(text), Guid(), FileTime::from_timespec({1'700'000'000, 0})},
      *f.store, f.kid);
  CHECK(open(sealed, binding, *f.store).payload.value.text() == text);
  Binding other = binding;
  other.purpose = Purpose::kSecret;
  CHECK(code_of([&] { open(sealed, other, *f.store); }) == "envelope-binding-mismatch");
  for (const std::string bad : {"", "two\nlines", "\xFF", "\x7F"}) {
    CHECK(code_of([&] {
            seal(binding, {SecretBytes::copy_of(bad), Guid(), FileTime()}, *f.store, f.kid);
          }) == "envelope-value-invalid");
  }
}

TEST_CASE("any bytes come back as they were, and text stays text for other openers") {
  auto& f = unchanged_store();
  const Binding binding{"import-2026-11", "any", Purpose::kSecret};
  std::string every;
  for (int byte = 0; byte < 256; ++byte) every += static_cast<char>(byte);
  struct Case {
    std::string value;
    std::string member;  // how the payload begins
  };
  const std::vector<Case> cases = {
      {"one line", R"("value":"one line","created")"},
      {"two\r\nlines\tand an end\n", R"("value":"two\u000d\u000alines\u0009and an end\u000a",)"},
      {"\xC3\xBC", "\"value\":\"\xC3\xBC\",\"created\""},
      {std::string(1, '\0'), R"("value":"AA","encoding":"base64url")"},
      {"\xFF", R"("value":"_w","encoding":"base64url")"},
      {"\xED\xA0\x80", R"("encoding":"base64url")"},
      {"\x1B[2J", R"("encoding":"base64url")"},
      {every, R"("encoding":"base64url")"},
      {std::string(kLongestSecret, 'x'), R"("value":"xxx)"},
      {std::string(kLongestSecret, '\n'), R"("encoding":"base64url")"},
      {std::string(kLongestSecret, '\xFF'), R"("encoding":"base64url")"}};
  for (const Case& each : cases) {
    CAPTURE(each.member);
    const Payload payload{SecretBytes::copy_of(each.value), Guid(),
                          FileTime::from_timespec({1'700'000'000, 0})};
    const SecretBytes json = payload_json(payload, Purpose::kSecret);
    CHECK(json.text().find(each.member) != std::string_view::npos);
    const auto parsed = parse_payload(json, Purpose::kSecret);
    REQUIRE(parsed);
    CHECK(parsed->value == payload.value);
    const std::string sealed = seal(binding, payload, *f.store, f.kid);
    CHECK(open(sealed, binding, *f.store).payload.value == payload.value);
  }
  for (const std::string& bad : {std::string(), std::string(kLongestSecret + 1, 'x')}) {
    CHECK(code_of([&] {
            seal(binding, {SecretBytes::copy_of(bad), Guid(), FileTime()}, *f.store, f.kid);
          }) == "envelope-value-invalid");
  }
}

TEST_CASE("a payload with an encoding that is none is refused") {
  const auto parsed = [](const std::string& members, Purpose purpose = Purpose::kSecret) {
    const std::string kind = purpose == Purpose::kSecret ? "secret" : "device-unlock-key";
    return parse_payload(SecretBytes::copy_of(R"({"v":1,"kind":")" + kind + "\"," + members +
                                              R"(,"created":"2023-11-14T22:13:20Z"})"),
                         purpose);
  };
  CHECK(parsed(R"("value":"AA","encoding":"base64url")")->value.text() ==
        std::string_view("\0", 1));
  CHECK(parsed(R"("value":"AA")")->value.text() == "AA");
  for (const char* bad :
       {R"("value":"A","encoding":"base64url")", R"("value":"AA==","encoding":"base64url")",
        R"("value":"AB","encoding":"base64url")", R"("value":"","encoding":"base64url")",
        R"("value":"AA","encoding":"base64")", R"("value":"AA","encoding":1)",
        R"("value":"AA","encoding":"base64url","more":1)"}) {
    CAPTURE(bad);
    CHECK_FALSE(parsed(bad));
  }
  CHECK_FALSE(parsed(R"("value":"AA","encoding":"base64url")", Purpose::kDeviceUnlockKey));
}

}  // namespace
}  // namespace driveprep::keywrap

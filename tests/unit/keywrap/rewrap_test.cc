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

}  // namespace
}  // namespace driveprep::keywrap

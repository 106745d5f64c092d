#include "tests/support/store_conformance.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "base/error.h"
#include "keywrap/envelope.h"
#include "keywrap/key_error.h"

namespace driveprep::test {
namespace {

using namespace keywrap;

// The name of the condition of the KeyError that `action` throws; "" when it throws none. A
// message, a remedy and a code belong to each.
std::string condition_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const KeyError& error) {
    INFO(error.what());
    CHECK(error.kind() == ErrorKind::kKey);
    CHECK_FALSE(std::string(error.what()).empty());
    CHECK_FALSE(error.remedy().empty());
    CHECK_FALSE(error.code().empty());
    return std::string(to_string(error.condition()));
  }
  return "";
}

bool has(const StoreUnderTest& tested, Ability ability) {
  return tested.abilities().contains(ability);
}

void check_wrapping(StoreUnderTest& tested) {
  KeyStore& store = tested.store();
  const std::string kid = tested.make_key("alpha");
  const SecretBytes secret = SecretBytes::random(32);
  const Bytes wrapped = store.wrap(kid, secret);
  CHECK(wrapped.size() == 256);
  CHECK(store.wrap(kid, secret) != wrapped);  // OAEP is randomised
  const Unwrapped unwrapped = store.unwrap(kid, wrapped);
  CHECK(unwrapped.secret == secret);
  CHECK(unwrapped.warning.empty());

  // 2048 bits hold 256 - 2*32 - 2 bytes (RFC 8017, section 7.1.1).
  for (const std::size_t size : {1u, 16u, 55u, 64u, 190u}) {
    const SecretBytes other = SecretBytes::random(size);
    CHECK(store.unwrap(kid, store.wrap(kid, other)).secret == other);
  }
  for (const std::size_t size : {191u, 256u, 4096u}) {
    CAPTURE(size);
    CHECK(condition_of([&] { store.wrap(kid, SecretBytes::random(size)); }) == "WrapFailed");
  }
}

void check_describing(StoreUnderTest& tested) {
  KeyStore& store = tested.store();
  const std::string kid = tested.make_key("alpha");
  const KeyVersion version = store.describe(kid);
  CHECK(version.kid == kid);
  CHECK((version.key_type == "RSA" || version.key_type == "RSA-HSM"));
  CHECK(version.bits == 2048);
  CHECK(version.enabled);
  CHECK_FALSE(version.not_before);
  CHECK_FALSE(version.expires);
  CHECK_FALSE(version.has_private_members);
  CHECK(store.owns(kid));
  // While there is one version only, every store knows which is meant.
  CHECK(store.describe(tested.versionless("alpha")).kid == kid);
  CHECK(store.owns(tested.versionless("alpha")));
}

void check_versions(StoreUnderTest& tested) {
  KeyStore& store = tested.store();
  const std::string first = tested.make_key("alpha");
  const SecretBytes secret = SecretBytes::random(32);
  const Bytes wrapped = store.wrap(first, secret);
  const std::string second = tested.add_version("alpha");
  const std::string other = tested.make_key("beta");
  CHECK(second != first);
  CHECK(store.describe(first).kid == first);
  CHECK(store.describe(second).kid == second);
  CHECK(store.unwrap(first, wrapped).secret == secret);
  // Never the latest, never whichever fits.
  for (const std::string& wrong : {second, other}) {
    CHECK(condition_of([&] { store.unwrap(wrong, wrapped); }) == "EnvelopeNotOpened");
  }
  if (has(tested, Ability::kPicksNewest)) {
    CHECK(store.describe(tested.versionless("alpha")).kid == second);
    if (has(tested, Ability::kDisables)) {
      tested.set_enabled(second, false);
      CHECK(store.describe(tested.versionless("alpha")).kid == second);
    }
  } else {
    CHECK_FALSE(condition_of([&] { store.describe(tested.versionless("alpha")); }).empty());
  }
  CHECK(store.describe(tested.versionless("beta")).kid == other);
}

void check_identifiers(StoreUnderTest& tested) {
  KeyStore& store = tested.store();
  const std::string kid = tested.make_key("alpha");
  const SecretBytes secret = SecretBytes::random(32);
  const Bytes wrapped = store.wrap(kid, secret);
  const std::string versionless = tested.versionless("alpha");
  CHECK(condition_of([&] { store.wrap(versionless, secret); }) == "UriInvalid");
  CHECK(condition_of([&] { store.unwrap(versionless, wrapped); }) == "UriInvalid");
  for (const std::string& unknown : tested.unknown("alpha")) {
    CAPTURE(unknown);
    CHECK(store.owns(unknown));
    CHECK(condition_of([&] { store.describe(unknown); }) == "KeyNotFound");
    CHECK(condition_of([&] { store.wrap(unknown, secret); }) == "KeyNotFound");
    CHECK(condition_of([&] { store.unwrap(unknown, wrapped); }) == "KeyNotFound");
  }
  std::vector<std::string> foreign = tested.foreign(kid);
  foreign.insert(
      foreign.end(),
      {"", " ", "alpha", "urn:x", " " + kid, kid + "\n", "ftp://example.org/keys/alpha",
       "keystore://00000000-0000-4000-8000-000000000000/keys/alpha/" + std::string(32, '0'),
       "pkcs11:token=nobody;object=alpha;id=%01"});
  for (const std::string& text : foreign) {
    CAPTURE(text);
    CHECK_FALSE(store.owns(text));
    CHECK_FALSE(condition_of([&] { store.describe(text); }).empty());
    CHECK_FALSE(condition_of([&] { store.wrap(text, secret); }).empty());
    CHECK_FALSE(condition_of([&] { store.unwrap(text, wrapped); }).empty());
  }
}

void check_alterations(StoreUnderTest& tested) {
  KeyStore& store = tested.store();
  const std::string kid = tested.make_key("alpha");
  const Bytes wrapped = store.wrap(kid, SecretBytes::random(32));
  std::set<std::string> messages;
  const auto refused = [&](const Bytes& altered) {
    try {
      (void)store.unwrap(kid, altered);
      FAIL_CHECK("altered ciphertext was opened");
    } catch (const KeyError& error) {
      CHECK(to_string(error.condition()) == "EnvelopeNotOpened");
      messages.insert(error.what());
    }
  };
  for (const std::size_t at : {0u, 1u, 100u, 254u, 255u}) {
    CAPTURE(at);
    Bytes altered = wrapped;
    altered[at] ^= std::byte{1};
    refused(altered);
  }
  refused(Bytes(256, std::byte{0}));
  refused(Bytes(256, std::byte{0xFF}));  // larger than any modulus
  refused({});
  refused(Bytes(wrapped.begin(), wrapped.end() - 1));
  Bytes longer = wrapped;
  longer.push_back(std::byte{0});
  refused(longer);
  Bytes shifted(1, std::byte{0});
  shifted.insert(shifted.end(), wrapped.begin(), wrapped.end());
  refused(shifted);
  // The reason is not told apart.
  CHECK(messages.size() == 1);
  CHECK(store.unwrap(kid, wrapped).secret.size() == 32);
}

void check_disabling(StoreUnderTest& tested) {
  KeyStore& store = tested.store();
  const std::string kid = tested.make_key("alpha");
  const std::string other = tested.add_version("alpha");
  const SecretBytes secret = SecretBytes::random(32);
  const Bytes wrapped = store.wrap(kid, secret);
  tested.set_enabled(kid, false);
  CHECK_FALSE(store.describe(kid).enabled);
  CHECK(condition_of([&] { store.wrap(kid, secret); }) == "KeyDisabled");
  CHECK(condition_of([&] { store.unwrap(kid, wrapped); }) == "KeyDisabled");
  CHECK(store.describe(other).enabled);  // a version, not the key
  CHECK(store.wrap(other, secret).size() == 256);
  tested.set_enabled(kid, true);
  CHECK(store.unwrap(kid, wrapped).secret == secret);
}

void check_validity(StoreUnderTest& tested) {
  KeyStore& store = tested.store();
  const std::string kid = tested.make_key("alpha");
  const SecretBytes secret = SecretBytes::random(32);
  const Bytes wrapped = store.wrap(kid, secret);
  constexpr UnixSeconds kHour = 3600;  // beyond any allowance for clocks
  const UnixSeconds now = tested.now();
  const auto reads_only = [&](const char* condition) {
    CHECK(condition_of([&] { store.wrap(kid, secret); }) == condition);
    const Unwrapped unwrapped = store.unwrap(kid, wrapped);
    CHECK(unwrapped.secret == secret);
    CHECK_FALSE(unwrapped.warning.empty());
  };
  tested.set_validity(kid, std::nullopt, now - kHour);
  CHECK(store.describe(kid).expires == now - kHour);
  reads_only("KeyExpired");
  tested.set_validity(kid, now + kHour, std::nullopt);
  CHECK(store.describe(kid).not_before == now + kHour);
  reads_only("KeyNotYetActive");
  tested.set_validity(kid, now - kHour, now + kHour);
  CHECK(store.wrap(kid, secret).size() == 256);
  CHECK(store.unwrap(kid, wrapped).warning.empty());
  if (!has(tested, Ability::kDisables)) return;
  // Disabled goes before expired: it does not even read.
  tested.set_validity(kid, std::nullopt, now - kHour);
  tested.set_enabled(kid, false);
  CHECK(condition_of([&] { store.unwrap(kid, wrapped); }) == "KeyDisabled");
}

void check_deleting(StoreUnderTest& tested) {
  KeyStore& store = tested.store();
  const std::string kid = tested.make_key("alpha");
  const SecretBytes secret = SecretBytes::random(32);
  const Bytes wrapped = store.wrap(kid, secret);
  tested.delete_key("alpha");
  for (const std::string& name : {kid, tested.versionless("alpha")}) {
    CHECK(condition_of([&] { store.describe(name); }) == "KeySoftDeleted");
  }
  CHECK(condition_of([&] { store.wrap(kid, secret); }) == "KeySoftDeleted");
  CHECK(condition_of([&] { store.unwrap(kid, wrapped); }) == "KeySoftDeleted");
  CHECK(store.owns(kid));
  tested.recover_key("alpha");
  CHECK(store.unwrap(kid, wrapped).secret == secret);
  CHECK(store.describe(kid).kid == kid);
}

void check_operations(StoreUnderTest& tested) {
  KeyStore& store = tested.store();
  const std::string kid = tested.make_key("alpha");
  const SecretBytes secret = SecretBytes::random(32);
  const Bytes wrapped = store.wrap(kid, secret);
  tested.set_operations(kid, false, true);
  CHECK(condition_of([&] { store.wrap(kid, secret); }) == "KeyOperationMissing");
  CHECK(store.unwrap(kid, wrapped).secret == secret);
  tested.set_operations(kid, true, false);
  CHECK(store.wrap(kid, secret).size() == 256);
  CHECK(condition_of([&] { store.unwrap(kid, wrapped); }) == "KeyOperationMissing");
  const auto operations = store.describe(kid).operations;
  REQUIRE(operations);
  CHECK(std::ranges::find(*operations, "wrapKey") != operations->end());
  CHECK(std::ranges::find(*operations, "unwrapKey") == operations->end());
}

void check_envelopes(StoreUnderTest& tested) {
  KeyStore& store = tested.store();
  const std::string kid = tested.make_key("alpha");
  const Binding binding{"import-2026-11", "ZC1A0F7K", Purpose::kRecoveryPassword};
  constexpr std::string_view kPassword = "238810-662376-448998-450120-652806-203390-606320-483076";
  const Payload payload{SecretBytes::copy_of(kPassword),
                        *Guid::parse("4967d63b-2e29-4ad8-8399-f6a339e3d001"),
                        FileTime::from_timespec({1'700'000'000, 0})};
  const std::string sealed = seal(binding, payload, store, kid);
  CHECK(Envelope::parse(sealed).recipients.at(0).kid == kid);
  const Opened opened = open(sealed, binding, store);
  CHECK(opened.payload.value.text() == kPassword);
  CHECK(opened.kid == kid);
}

void check_threads(StoreUnderTest& tested) {
  KeyStore& store = tested.store();
  const std::string kid = tested.make_key("alpha");
  const std::string other = tested.make_key("beta");
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::string& mine = t % 2 == 0 ? kid : other;
      for (int i = 0; i < 5; ++i) {
        const SecretBytes secret = SecretBytes::random(32);
        if (store.unwrap(mine, store.wrap(mine, secret)).secret == secret &&
            store.describe(mine).kid == mine) {
          ++good;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(good == 20);
}

}  // namespace

void StoreUnderTest::set_enabled(const std::string&, bool) { FAIL("not able to"); }
void StoreUnderTest::set_validity(const std::string&, std::optional<UnixSeconds>,
                                  std::optional<UnixSeconds>) {
  FAIL("not able to");
}
void StoreUnderTest::delete_key(const std::string&) { FAIL("not able to"); }
void StoreUnderTest::recover_key(const std::string&) { FAIL("not able to"); }
void StoreUnderTest::set_operations(const std::string&, bool, bool) { FAIL("not able to"); }

void check_store_conformance(const std::function<std::unique_ptr<StoreUnderTest>()>& make) {
  const std::unique_ptr<StoreUnderTest> tested = make();
  SECTION("what was wrapped is unwrapped, up to the length that the key holds") {
    check_wrapping(*tested);
  }
  SECTION("a key is described with and without version") { check_describing(*tested); }
  SECTION("exactly the version that is named does the work") { check_versions(*tested); }
  SECTION("identifiers of others and of nobody are refused by their own conditions") {
    check_identifiers(*tested);
  }
  SECTION("altered ciphertext is refused, and why is not told") { check_alterations(*tested); }
  SECTION("an envelope is sealed and opened") { check_envelopes(*tested); }
  SECTION("threads share the store") { check_threads(*tested); }
  if (has(*tested, Ability::kDisables)) {
    SECTION("a disabled version neither wraps nor unwraps") { check_disabling(*tested); }
  }
  if (has(*tested, Ability::kLimitsTime)) {
    SECTION("outside its validity a version unwraps with a warning but does not wrap") {
      check_validity(*tested);
    }
  }
  if (has(*tested, Ability::kDeletes)) {
    SECTION("a deleted key does nothing until it is recovered") { check_deleting(*tested); }
  }
  if (has(*tested, Ability::kLimitsOperations)) {
    SECTION("what a key may not be used for it does not do") { check_operations(*tested); }
  }
}

}  // namespace driveprep::test

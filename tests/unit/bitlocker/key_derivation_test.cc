// Vectors of a volume that Windows made (the 128-bit XTS volume of the public cryptsetup test set).
#include "bitlocker/key_derivation.h"

#include "bitlocker/ccm.h"
#include "test_tools.h"

namespace driveprep::bitlocker {
namespace {

const char* const kVmk = "e5862465920b1190605ae29547623fb9c0dbafab073c85634bfb0f8a4b8cf46b";

Entry wrapped_entry(std::string_view nonce_and_tag, std::string_view ciphertext) {
  Entry entry;
  entry.type = ValueType::kWrapped;
  entry.fixed = unhex(nonce_and_tag);
  entry.data = unhex(ciphertext);
  return entry;
}

TEST_CASE("a password is hashed twice as UTF-16") {
  CHECK(hex(password_hash(SecretBytes::copy_of("anaconda"))) ==
        "0d6cbf9e5d75af220d7ac3e9f35d05f56952608dd1dacb31774452c489eadc51");
}

TEST_CASE("code units of a password are counted, also beyond the basic plane") {
  CHECK(password_length(SecretBytes::copy_of("")) == 0);
  CHECK(password_length(SecretBytes::copy_of("anaconda")) == 8);
  CHECK(password_length(SecretBytes::copy_of("\xC2\xA3\xE2\x82\xAC\xF0\x9F\x94\x91")) == 4);
}

TEST_CASE("a password that is not UTF-8 is refused") {
  for (const char* bad : {"\xFF", "abc\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                          "\xE0\x80\x80", "\x80", "\xE2\x28\xA1"}) {
    CHECK(error_code([&] { password_hash(SecretBytes::copy_of(bad)); }) ==
          "bitlocker-password-text");
  }
}

TEST_CASE("stretching gives Windows' intermediate state and keys") {
  const Bytes salt = unhex("8d7637cc5d885d5ff4f748dbc8440d2e");
  const SecretBytes hash = password_hash(SecretBytes::copy_of("anaconda"));
  CHECK(hex(stretch(hash, salt, 1)) ==
        "15d1c63dee153c632b9b9b20db5f35d4d17a0a0908a8c6b83f479ee9a33eacd4");
  CHECK(hex(stretch(hash, salt)) ==
        "37554410c6e0df5b4fe096259f4a21b847338d3e8d8d8d8c30012d1447cca957");
}

TEST_CASE("the recovery password gives Windows' key") {
  const RecoveryPassword password =
      RecoveryPassword::parse("235818-357951-253979-013365-241120-245575-342914-591910");
  CHECK(hex(password.key()) == "be531d7f315abf04a0553557c67932d2");
  const SecretBytes hash = recovery_password_hash(password);
  CHECK(hex(hash) == "fdd303817e456f7a4b64a7063ae00be752a46841e57da98caf8522f136cb3411");
  CHECK(hex(stretch(hash, unhex("2ba080989af9b50c203aaebd0b40d498"))) ==
        "1a39f926dab83e947fa85125b91e556e9ecc2bc5968924e03de234878d1fd4bd");
}

TEST_CASE("Windows' wrapped volume master key unwraps and wraps to the same bytes") {
  const SecretBytes kek =
      secret_hex("37554410c6e0df5b4fe096259f4a21b847338d3e8d8d8d8c30012d1447cca957");
  const Entry entry = wrapped_entry(
      "c049ba6f3632d5010300000084ba5e36ecbfc08e95dd7aa2d1abdab1",
      "749966a4100e2779e82354bd5e33a0a991025a189e2768aa5c47e818fb158d9179bfa47fa1b4a01fc379caa5");
  const auto key = unwrap_key(kek, entry);
  REQUIRE(key);
  CHECK(key->key_type == 0x2003);
  CHECK(hex(key->key) == kVmk);
  CHECK(wrap_key(kek, *nonce_of(entry), Role::kProperty, 0x2003, key->key) == entry);
}

TEST_CASE("Windows' wrapped volume encryption key unwraps") {
  const Entry entry = wrapped_entry(
      "c049ba6f3632d50108000000c83ef7a71e23b0b146ffd20691856484",
      "bf886e2f056985d40b004f3b46d5929a1f1a09b20d2778fa3ca2d803f29ea3395c6b4723dd601b34997ae75e");
  const auto key = unwrap_key(secret_hex(kVmk), entry);
  REQUIRE(key);
  CHECK(key->key_type == 0x8004);
  CHECK(hex(key->key) == "cc493ad40376cf719d3725073d5c1a6ca5759fc4ad179c95572f16c01a260d66");
}

TEST_CASE("one changed bit anywhere in a wrapped key is noticed") {
  const SecretBytes key = secret_hex(kVmk);
  const Entry good = wrap_key(key, {FileTime{1}, 2}, Role::kProperty, 0x2003, key);
  REQUIRE(unwrap_key(key, good));
  for (std::size_t i = 0; i < good.fixed.size(); ++i) {
    Entry bad = good;
    bad.fixed[i] ^= std::byte{1};
    CHECK_FALSE(unwrap(key, bad));
  }
  for (std::size_t i = 0; i < good.data.size(); ++i) {
    Entry bad = good;
    bad.data[i] ^= std::byte{0x80};
    CHECK_FALSE(unwrap(key, bad));
  }
}

}  // namespace
}  // namespace driveprep::bitlocker

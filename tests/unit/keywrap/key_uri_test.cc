#include "keywrap/key_uri.h"

#include <catch2/catch.hpp>

#include "keywrap/recovery_password.h"

namespace driveprep::keywrap {
namespace {

const std::string kStore = "4967d63b-2e29-4ad8-8399-f6a339e3d001";
const std::string kVersion = "0123456789abcdef0123456789abcdef";
const std::string kPrefix = "keystore://" + kStore + "/keys/";

TEST_CASE("a key identifier survives parsing and printing") {
  const std::string text = kPrefix + "import-2026/" + kVersion;
  const auto uri = LocalKeyUri::parse(text);
  REQUIRE(uri);
  CHECK(uri->store_id == kStore);
  CHECK(uri->name == "import-2026");
  CHECK(uri->version == kVersion);
  CHECK(uri->to_string() == text);
}

TEST_CASE("a key identifier without a version means the newest one") {
  const auto uri = LocalKeyUri::parse(kPrefix + "import-2026");
  REQUIRE(uri);
  CHECK_FALSE(uri->has_version());
  CHECK(uri->to_string() == kPrefix + "import-2026");
}

TEST_CASE("key identifiers compare without case") {
  const auto uri = LocalKeyUri::parse(
      "KEYSTORE://4967D63B-2E29-4AD8-8399-F6A339E3D001"
      "/Keys/DEFAULT/0123456789ABCDEF0123456789ABCDEF");
  REQUIRE(uri);
  CHECK(uri->to_string() == kPrefix + "default/" + kVersion);
}

TEST_CASE("anything but a key identifier is refused") {
  const auto bad = GENERATE_COPY(
      std::string(), std::string("keystore://"), kPrefix, kPrefix + "default/",
      kPrefix + "/" + kVersion, kPrefix + "default/" + kVersion + "/",
      kPrefix + "default/" + kVersion + "?a", kPrefix + "default/" + kVersion + "#a",
      kPrefix + "default/" + kVersion.substr(1), kPrefix + "default/" + kVersion + "0",
      kPrefix + "default/" + kVersion.substr(1) + "g", kPrefix + "a_b/" + kVersion,
      kPrefix + "../" + kVersion, kPrefix + "%64efault/" + kVersion,
      kPrefix + std::string(128, 'a') + "/" + kVersion,
      "keystore://{" + kStore + "}/keys/default/" + kVersion,
      "keystore://user@" + kStore + "/keys/default/" + kVersion,
      "keystore://" + kStore + ":443/keys/default/" + kVersion,
      "keystore://" + kStore + "/secrets/default/" + kVersion,
      "https://" + kStore + "/keys/default/" + kVersion, " " + kPrefix + "default/" + kVersion);
  CAPTURE(bad);
  CHECK_FALSE(LocalKeyUri::parse(bad));
}

TEST_CASE("a recovery password is eight multiples of 11 below 720896") {
  CHECK(is_recovery_password("238810-662376-448998-450120-652806-203390-606320-483076"));
  CHECK(is_recovery_password("000000-720885-000011-000000-000000-000000-000000-000000"));
  const auto bad =
      GENERATE(as<std::string>(), "", "238810-662376-448998-450120-652806-203390-606320",
               "238811-662376-448998-450120-652806-203390-606320-483076",  // not a multiple of 11
               "720896-662376-448998-450120-652806-203390-606320-483076",  // 65536 * 11
               "238810 662376-448998-450120-652806-203390-606320-483076",
               "238810-662376-448998-450120-652806-203390-606320-48307x",
               "238810-662376-448998-450120-652806-203390-606320-483076-");
  CAPTURE(bad);
  CHECK_FALSE(is_recovery_password(bad));
}

}  // namespace
}  // namespace driveprep::keywrap

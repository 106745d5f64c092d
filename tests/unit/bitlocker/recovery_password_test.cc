#include "bitlocker/recovery_password.h"

#include <algorithm>

#include "test_tools.h"

namespace driveprep::bitlocker {
namespace {

const std::string kGood = "235818-357951-253979-013365-241120-245575-342914-591910";

std::string replaced(std::size_t at, std::string_view with) {
  return std::string(kGood).replace(at, with.size(), with);
}

TEST_CASE("a random recovery password has the form and reads back to the same key") {
  for (int i = 0; i < 200; ++i) {
    const RecoveryPassword password = RecoveryPassword::random();
    const std::string_view text = password.text();
    REQUIRE(text.size() == 55);
    CHECK(std::count(text.begin(), text.end(), '-') == 7);
    const RecoveryPassword again = RecoveryPassword::parse(text);
    CHECK(again.key() == password.key());
    CHECK(again.text() == text);
  }
  CHECK_FALSE(RecoveryPassword::random().key() == RecoveryPassword::random().key());
}

TEST_CASE("dashes and white space do not matter") {
  std::string bare = kGood;
  std::erase(bare, '-');
  std::string spaced = kGood;
  std::ranges::replace(spaced, '-', ' ');
  for (const std::string& text : {bare, spaced, "  " + kGood + "\r\n"}) {
    CHECK(RecoveryPassword::parse(text).text() == kGood);
  }
}

TEST_CASE("leading zeros are kept") {
  const Bytes key(16);
  CHECK(RecoveryPassword::from_key(key).text() ==
        "000000-000000-000000-000000-000000-000000-000000-000000");
}

TEST_CASE("a bad recovery password is refused with the number of the group") {
  struct Case {
    std::string text;
    std::string named;
  };
  const Case cases[] = {
      {replaced(7, "357952"), "group 2"},   // not a multiple of 11
      {replaced(42, "720896"), "group 7"},  // 11 * 65536
      {replaced(42, "999999"), "group 7"},  // a multiple of 11, too large
      {replaced(21, "0133x5"), "group 4"}, {kGood.substr(0, 54), "47 digits"},
      {kGood + "1", "more than 48"},       {"", "0 digits"},
  };
  for (const Case& c : cases) {
    INFO(c.named);
    CHECK(error_code([&] { RecoveryPassword::parse(c.text); }) == "bad-recovery-password");
    CHECK_THAT(error_text([&] { RecoveryPassword::parse(c.text); }), Catch::Contains(c.named));
  }
}

TEST_CASE("the message about a bad recovery password does not hold any of its groups") {
  const std::string text = error_text([] { RecoveryPassword::parse(replaced(7, "357952")); });
  for (std::size_t at = 0; at < kGood.size(); at += 7) {
    CHECK_THAT(text, !Catch::Contains(replaced(7, "357952").substr(at, 6)));
  }
}

TEST_CASE("every single wrong digit is noticed") {
  for (std::size_t i = 0; i < kGood.size(); ++i) {
    if (kGood[i] == '-') continue;
    for (char c = '0'; c <= '9'; ++c) {
      if (c == kGood[i]) continue;
      CHECK(error_code([&] { RecoveryPassword::parse(replaced(i, std::string(1, c))); }) ==
            "bad-recovery-password");
    }
  }
}

TEST_CASE("the largest group is 720885") {
  const Bytes key(16, std::byte{0xFF});
  const RecoveryPassword password = RecoveryPassword::from_key(key);
  CHECK(password.text() == "720885-720885-720885-720885-720885-720885-720885-720885");
  CHECK(RecoveryPassword::parse(password.text()).key() == password.key());
}

}  // namespace
}  // namespace driveprep::bitlocker

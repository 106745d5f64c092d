#include "keywrap/identity/token_response.h"

#include <catch2/catch.hpp>

#include "tests/unit/keywrap_identity/fixtures.h"

using namespace driveprep;
using namespace driveprep::keywrap;
using namespace driveprep::keywrap::identity;
using test::kNow;

namespace {

Token read(std::string_view body) { return read_token(body, kNow); }

}  // namespace

TEST_CASE("the answer of a sign-in host is read") {
  const Token token = read(R"({"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,
                               "access_token":"eyJ0eXAi.eyJhdWQi.sig-_"})");
  CHECK(token.value.text() == "eyJ0eXAi.eyJhdWQi.sig-_");
  CHECK(token.expires == kNow + 3599);
}

// As in the documentation of instance metadata.
TEST_CASE("numbers of instance metadata come as strings") {
  const Token token =
      read(R"({"access_token": "eyJ0eXAi", "refresh_token": "", "expires_in": "3599",
               "expires_on": "1700003500", "not_before": "1506480273",
               "resource": "https://vault.azure.net", "token_type": "Bearer"})");
  CHECK(token.expires == 1700003500);
  CHECK(read(R"({"access_token":"x","expires_on":"1700000900"})").expires == 1700000900);
  CHECK(read(R"({"access_token":"x","expires_on":1700000900})").expires == 1700000900);
}

TEST_CASE("of two times of expiry the earlier one counts") {
  CHECK(read(R"({"access_token":"x","expires_in":100,"expires_on":1700009999})").expires ==
        kNow + 100);
  CHECK(read(R"({"access_token":"x","expires_in":9999,"expires_on":1700000100})").expires ==
        kNow + 100);
}

TEST_CASE("times beyond all measure neither overflow nor make a token live forever") {
  CHECK(read(R"({"access_token":"x","expires_in":9223372036854775807})").expires <
        kNow + 367 * 86'400);
  CHECK(read(R"({"access_token":"x","expires_on":"9223372036854775807"})").expires <
        kNow + 367 * 86'400);
  CHECK(read(R"({"access_token":"x","expires_in":-5})").expires == kNow);
  CHECK(read(R"({"access_token":"x","expires_on":-9223372036854775808})").expires == kNow);
}

TEST_CASE("members that are not known may have any shape") {
  const Token token = read(
      R"({"foo":{"a":[1,{"b":"\u00e9\n\"quoted\""}],"access_token":"not this"},"bar":null,"x":1.5e3,
          "scope":"caf\u00e9 \ud83d\ude00","access_token":"this\u002Done","expires_in":60,"t":[[]]})");
  CHECK(token.value.text() == "this-one");
}

TEST_CASE("an answer without a usable token is refused without being quoted") {
  for (const char* body :
       {"", "<html>login</html>", "[]", "{}", R"({"expires_in":3599})",
        R"({"access_token":"s3cret"})", R"({"access_token":"","expires_in":1})",
        R"({"access_token":17,"expires_in":1})", R"({"access_token":null,"expires_in":1})",
        R"({"access_token":"s3cret","expires_in":"soon"})",
        R"({"access_token":"s3cret","expires_in":"12 "})",
        R"({"access_token":"s3cret","expires_in":1.5})",
        R"({"access_token":"s3cret","expires_in":1,"token_type":"pop"})",
        R"({"access_token":"s3cret","expires_in":1,"token_type":1})",
        R"({"access_token":"s3cret\r\nX-Evil: 1","expires_in":1})",
        R"({"access_token":"s3 cret","expires_in":1})",
        R"({"access_token":"s\u00e9","expires_in":1})",
        R"({"access_token":"s3cret","access_token":"other","expires_in":1})",
        R"({"access_token":"s3cret","expires_in":1)"}) {
    CAPTURE(body);
    try {
      read(body);
      FAIL("it was taken");
    } catch (const FormatError& error) {
      CHECK_FALSE(test::contains(error.what(), "s3cret"));
    }
  }
}

TEST_CASE("a page of a proxy instead of a token is told as an unexpected answer") {
  http::Response response{200, {}, SecretBytes::copy_of("<html></html>")};
  const auto failure = test::failure_of([&] {
    (void)token_of(response, kNow, {"the client secret of x", "login.example"});
  });
  CHECK(failure.condition == "Unexpected");
  CHECK(failure.evidence.http_status == 200);
  CHECK(test::contains(failure.message, "login.example"));
}

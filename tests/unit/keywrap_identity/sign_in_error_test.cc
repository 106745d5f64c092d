#include "keywrap/identity/sign_in_error.h"

#include <catch2/catch.hpp>

#include "tests/unit/keywrap_identity/fixtures.h"

using namespace driveprep;
using namespace driveprep::keywrap;
using namespace driveprep::keywrap::identity;

namespace {

KeyError error(int status, const std::string& body, bool user_assigned = false) {
  return error_of(http::Response{status, {}, SecretBytes::copy_of(body)},
                  Asked{"the client secret of app", "login.example", user_assigned});
}

std::string condition(int status, const std::string& body, bool user_assigned = false) {
  return std::string(to_string(error(status, body, user_assigned).condition()));
}

std::string aadsts(std::int64_t number, const std::string& name = "invalid_request") {
  const std::string text = std::to_string(number);
  return R"({"error":")" + name + R"(","error_description":"AADSTS)" + text +
         R"(: Something. Trace ID: 1 Correlation ID: 2","error_codes":[)" + text +
         R"(],"timestamp":"2026-01-01 00:00:00Z","trace_id":"trace-1","correlation_id":"corr-1",
            "error_uri":"https://login.microsoftonline.com/error?code=)" +
         text + R"("})";
}

}  // namespace

TEST_CASE("the number of a sign-in error tells the condition") {
  const std::vector<std::pair<std::int64_t, std::string>> expected = {
      {700016, "PrincipalNotFound"},  {7000112, "PrincipalNotFound"},
      {90002, "TenantMismatch"},      {50020, "TenantMismatch"},
      {500011, "TenantMismatch"},     {7000215, "CredentialInvalid"},
      {7000222, "CredentialInvalid"}, {700027, "CredentialInvalid"},
      {700024, "CredentialInvalid"},  {70021, "CredentialInvalid"},
      {700021, "CredentialInvalid"},  {90033, "Unavailable"},
      {50196, "Throttled"},           {12345, "Unexpected"}};
  for (const auto& [number, name] : expected) {
    CAPTURE(number);
    CHECK(condition(400, aadsts(number)) == name);
  }
}

TEST_CASE("a user-assigned identity of another tenant has a condition of its own") {
  CHECK(condition(400, aadsts(50020), true) == "CrossTenantIdentity");
  CHECK(condition(400, aadsts(500011), true) == "CrossTenantIdentity");
  CHECK(condition(400, aadsts(90002), true) == "TenantMismatch");
  CHECK(condition(400, aadsts(7000215), true) == "CredentialInvalid");
}

TEST_CASE("the number stays in the message and in the evidence, known or not") {
  const KeyError known = error(401, aadsts(7000222, "invalid_client"));
  CHECK(test::contains(known.what(), "AADSTS7000222 (the client secret has expired)"));
  CHECK(test::contains(known.what(), "login.example"));
  CHECK(known.evidence().http_status == 401);
  CHECK(known.evidence().vault_code == "invalid_client");
  CHECK(known.evidence().vault_inner_code == "AADSTS7000222");
  CHECK(known.evidence().request_id == "trace-1");
  CHECK(test::contains(error(400, aadsts(12345)).what(), "AADSTS12345"));
}

TEST_CASE("the number is found in the description alone, too") {
  CHECK(condition(400, R"({"error":"x","error_description":"AADSTS700016: Application ..."})") ==
        "PrincipalNotFound");
  CHECK(condition(400, R"({"error_codes":"700016","error_description":"AADSTS"})") == "Unexpected");
  CHECK(condition(400, R"({"error_codes":[99999,700016]})") == "PrincipalNotFound");
}

TEST_CASE("a code of a service in the body is passed through") {
  for (
      const char* body :
      {R"({"error":{"code":"SsemUserErrorUserAssignedLimitReached","message":"too many"}})",
       R"({"error":"invalid_request",
            "error_description":"SsemUserErrorUserAssignedLimitReached: too many identities"})",
       R"({"error":{"code":"x","innererror":[{"code":"SsemUserErrorUserAssignedLimitReached"}]}})"}) {
    CAPTURE(body);
    CHECK(condition(400, body) == "IdentityLimit");
  }
  // The words of driveprep itself are nobody's answer.
  CHECK(condition(400, R"({"error":"wrap-failed"})") == "Unexpected");
  CHECK(condition(400, R"({"error":"KwThrottled"})") == "Unexpected");
}

TEST_CASE("without a number the status decides, whatever the body is") {
  for (const char* body : {"", "<html>", "null", "[]", R"({"error":null})", R"({"error":17})",
                           R"({"error":{"code":null}})", R"({"error_codes":{"a":1}})"}) {
    CAPTURE(body);
    CHECK(condition(400, body) == "Unexpected");
    CHECK(condition(408, body) == "Timeout");
    CHECK(condition(429, body) == "Throttled");
    CHECK(condition(503, body) == "Unavailable");
  }
  CHECK(condition(401, R"({"error":"invalid_client"})") == "CredentialInvalid");
  CHECK(condition(503, R"({"error":"invalid_client"})") == "Unavailable");
}

TEST_CASE("a sign-in host cannot have driveprep print what it was sent") {
  const std::string message =
      error(400,
            R"({"error":"invalid_request","error_description":"you sent client_secret=s3cret"})")
          .what();
  CHECK_FALSE(test::contains(message, "s3cret"));
}

TEST_CASE("what kept the answer away tells the condition") {
  using Kind = http::TransportError::Kind;
  const auto condition_of_kind = [](Kind kind) {
    return std::string(to_string(
        error_of(http::TransportError(kind, "no way"), Asked{"x", "login.example"}).condition()));
  };
  CHECK(condition_of_kind(Kind::kNameUnknown) == "Unavailable");
  CHECK(condition_of_kind(Kind::kNameUnresolved) == "Unavailable");
  CHECK(condition_of_kind(Kind::kNotConnected) == "Unavailable");
  CHECK(condition_of_kind(Kind::kTimeout) == "Timeout");
  CHECK(condition_of_kind(Kind::kTls) == "TlsFailure");
  CHECK(condition_of_kind(Kind::kTooLarge) == "Unexpected");
}

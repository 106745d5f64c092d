#include "keywrap/vault/error_body.h"

#include <catch2/catch.hpp>

namespace driveprep::keywrap::vault {
namespace {

std::string body(const std::string& code, const std::string& message,
                 const std::string& inner = "") {
  return R"({"error":{"code":")" + code + R"(","message":")" + message + "\"" +
         (inner.empty() ? "" : R"(,"innererror":{"code":")" + inner + "\"}") + "}}";
}

std::string condition(int status, const std::string& text, Operation operation = Operation::kGet) {
  return std::string(to_string(condition_of_answer(status, parse_error_body(text), operation)));
}

TEST_CASE("an error body is read in both spellings and at any depth") {
  const ErrorBody error = parse_error_body(
      R"({"error":{"code":"Forbidden","message":"no","innerError":{"innererror":{"code":"A","innerError":{"code":"B"}}}}})");
  CHECK(error.code == "Forbidden");
  CHECK(error.inner_codes == std::vector<std::string>{"A", "B"});
}

TEST_CASE("an odd error body tells nothing, and is no error of its own") {
  for (const std::string& text :
       {std::string(), std::string("<html><body>403</body></html>"),
        std::string("{\"error\":null}"), std::string("{}"), std::string("[]"),
        std::string("{\"error\":\"x\"}"), std::string("{\"error\":{\"code\":7,\"innererror\":[]}}"),
        "{\"error\":{\"code\":\"X\",\"message\":\"" + std::string(70'000, 'a') + "\"}}"}) {
    const ErrorBody error = parse_error_body(text);
    CHECK(error.code.empty());
    CHECK(error.inner_codes.empty());
    CHECK(condition(403, text) == "Unexpected");
    CHECK(condition(503, text) == "Unavailable");
  }
}

TEST_CASE("what a vault says is kept short and printable") {
  const ErrorBody error = parse_error_body(body("X", "a\\u001b[31m" + std::string(1000, 'b')));
  CHECK(error.message.size() < 310);
  CHECK(error.message.find('\x1b') == std::string::npos);
}

TEST_CASE("answers of a vault are told apart by inner code, then by text") {
  const auto forbidden = [](const std::string& inner, const std::string& message = "no",
                            Operation operation = Operation::kGet) {
    return condition(403, body("Forbidden", message, inner), operation);
  };
  CHECK(forbidden("AccessDenied") == "AccessDenied");
  CHECK(forbidden("ForbiddenByRbac") == "AccessDenied");
  CHECK(forbidden("ForbiddenByPolicy") == "AccessDenied");
  CHECK(forbidden("ForbiddenByRbac", "no", Operation::kWrap) == "WrapDenied");
  CHECK(forbidden("AccessDenied", "no", Operation::kUnwrap) == "WrapDenied");
  CHECK(forbidden("ForbiddenByFirewall") == "FirewallDenied");
  CHECK(forbidden("ForbiddenByConnection") == "FirewallDenied");
  CHECK(forbidden("", "Client address 1.2.3.4 is not authorized") == "FirewallDenied");
  CHECK(forbidden("", "Public network access is disabled") == "FirewallDenied");
  CHECK(forbidden("KeyDisabled") == "KeyDisabled");
  CHECK(forbidden("", "Operation is not allowed on a disabled key") == "KeyDisabled");
  CHECK(forbidden("", "The key has expired") == "KeyExpired");
  CHECK(forbidden("", "The key is not yet valid") == "KeyNotYetActive");
  CHECK(forbidden("SomethingNew") == "Unexpected");
  CHECK(condition(403, body("AccessDenied", "Not authorized to access")) == "AccessDenied");
}

TEST_CASE("the other statuses have their conditions") {
  CHECK(condition(401, body("Unauthorized", "AKV10032: Invalid issuer.")) == "TenantMismatch");
  CHECK(condition(401, body("Unauthorized", "AKV10000")) == "TokenRefused");
  CHECK(condition(404, body("KeyNotFound", "gone")) == "KeyNotFound");
  CHECK(condition(404, "<html>not here</html>") == "Unexpected");
  CHECK(condition(409, body("Conflict", "", "ObjectIsDeletedButRecoverable")) == "KeySoftDeleted");
  CHECK(condition(409, body("Conflict", "", "ObjectIsBeingRecovered")) == "Unavailable");
  CHECK(condition(429, body("Throttled", "")) == "Throttled");
  CHECK(condition(400, body("BadParameter", ""), Operation::kUnwrap) == "EnvelopeNotOpened");
  CHECK(condition(400, body("BadParameter", ""), Operation::kWrap) == "WrapFailed");
  CHECK(condition(400, body("BadParameter", "")) == "Unexpected");
  CHECK(condition(302, "") == "Unexpected");
  for (const int status : {500, 502, 503, 504}) CHECK(condition(status, "") == "Unavailable");
}

TEST_CASE("a code that a service has decided is passed through") {
  CHECK(condition(400, body("SsemUserErrorUserAssignedLimitReached", "")) == "IdentityLimit");
  CHECK(condition(403, body("Forbidden", "", "CmkErrorKeyDisabled")) == "KeyDisabled");
  CHECK(condition(403, body("CmkErrorNotFound", "")) == "KeyNotFound");
}

}  // namespace
}  // namespace driveprep::keywrap::vault

#include "keywrap/vault/error_body.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/ascii.h"
#include "keywrap/excerpt.h"

namespace driveprep::keywrap::vault {
namespace {

using nlohmann::json;
using enum Condition;

constexpr std::size_t kMaxBodyBytes = 64 * 1024;
constexpr std::size_t kMaxMessage = 300;
constexpr std::size_t kMaxCode = 100;
constexpr std::size_t kMaxInnerCodes = 16;

std::string text_member(const json& object, const char* name, std::size_t longest) {
  const auto member = object.find(name);
  if (member == object.end() || !member->is_string()) return {};
  return excerpt(member->get_ref<const std::string&>(), longest);
}

const json* inner_error(const json& error) {
  for (const char* name : {"innererror", "innerError"}) {
    const auto member = error.find(name);
    if (member != error.end() && member->is_object()) return &*member;
  }
  return nullptr;
}

bool mentions(const ErrorBody& body, std::string_view words) {
  return ascii::lower(body.message).find(words) != std::string::npos;
}

// A code such as SsemUserError... in the body has been decided by the service.
std::optional<Condition> passed_through(const ErrorBody& body) {
  const auto of_service = [](const std::string& code) -> std::optional<Condition> {
    if (!code.starts_with("Ssem") && !code.starts_with("CmkError") &&
        !code.starts_with("UserErrorCMK")) {
      return std::nullopt;
    }
    return condition_of(code);
  };
  for (const std::string& code : body.inner_codes) {
    if (const auto condition = of_service(code)) return condition;
  }
  return of_service(body.code);
}

Condition unauthorized(const ErrorBody& body) {
  if (mentions(body, "akv10032") || mentions(body, "invalid issuer")) return kTenantMismatch;
  return kTokenRefused;
}

Condition forbidden(const ErrorBody& body, Operation operation) {
  if (body.has_inner("ForbiddenByFirewall") || body.has_inner("ForbiddenByConnection")) {
    return kFirewallDenied;
  }
  if (body.has_inner("KeyDisabled")) return kKeyDisabled;
  const Condition denied = operation == Operation::kGet ? kAccessDenied : kWrapDenied;
  for (const char* code : {"AccessDenied", "ForbiddenByRbac", "ForbiddenByPolicy"}) {
    if (body.has_inner(code) || body.code == code) return denied;
  }
  // Without an inner code that is known the text decides.
  if (mentions(body, "public network access is disabled") ||
      (mentions(body, "client address") && mentions(body, "not authorized"))) {
    return kFirewallDenied;
  }
  if (mentions(body, "disabled key") || mentions(body, "key is disabled")) return kKeyDisabled;
  if (mentions(body, "expired")) return kKeyExpired;
  if (mentions(body, "not yet valid") || mentions(body, "not yet active")) return kKeyNotYetActive;
  if (mentions(body, "not permitted on this key")) return kKeyOperationMissing;
  if (mentions(body, "does not have") && mentions(body, "permission")) return denied;
  return kUnexpected;
}

Condition conflict(const ErrorBody& body) {
  if (body.has_inner("ObjectIsDeletedButRecoverable") || body.has_inner("ObjectIsBeingDeleted")) {
    return kKeySoftDeleted;
  }
  return body.has_inner("ObjectIsBeingRecovered") ? kUnavailable : kUnexpected;
}

Condition of_bad_value(Operation operation) {
  if (operation == Operation::kUnwrap) return kEnvelopeNotOpened;
  return operation == Operation::kWrap ? kWrapFailed : kUnexpected;
}

}  // namespace

bool ErrorBody::has_inner(std::string_view inner) const {
  return std::ranges::find(inner_codes, inner) != inner_codes.end();
}

ErrorBody parse_error_body(std::string_view text) {
  ErrorBody body;
  if (text.size() > kMaxBodyBytes) return body;
  const json document = json::parse(text.begin(), text.end(), nullptr, false);
  if (!document.is_object()) return body;
  const auto error = document.find("error");
  if (error == document.end() || !error->is_object()) return body;
  body.code = text_member(*error, "code", kMaxCode);
  body.message = text_member(*error, "message", kMaxMessage);
  const json* inner = inner_error(*error);
  for (std::size_t depth = 0; inner != nullptr && depth < kMaxInnerCodes; ++depth) {
    if (std::string code = text_member(*inner, "code", kMaxCode); !code.empty()) {
      body.inner_codes.push_back(std::move(code));
    }
    inner = inner_error(*inner);
  }
  return body;
}

std::string_view to_string(Operation operation) {
  switch (operation) {
    case Operation::kGet: return "get";
    case Operation::kWrap: return "wrapKey";
    case Operation::kUnwrap: return "unwrapKey";
  }
  return "?";
}

Condition condition_of_answer(int status, const ErrorBody& body, Operation operation) {
  if (const auto condition = passed_through(body)) return *condition;
  switch (status) {
    // What is wrong can only be the value that came along.
    case 400: return of_bad_value(operation);
    case 401: return unauthorized(body);
    case 403: return forbidden(body, operation);
    // A proxy, too, answers 404.
    case 404: return body.code == "KeyNotFound" ? kKeyNotFound : kUnexpected;
    case 409: return conflict(body);
    case 429: return kThrottled;
    default: return status == 408 || status >= 500 ? kUnavailable : kUnexpected;
  }
}

}  // namespace driveprep::keywrap::vault

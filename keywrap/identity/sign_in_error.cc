#include "keywrap/identity/sign_in_error.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/ascii.h"
#include "keywrap/excerpt.h"
#include "keywrap/json_view.h"

namespace driveprep::keywrap::identity {
namespace {

using enum Condition;

constexpr std::size_t kMaxBodyBytes = 64 * 1024;
constexpr std::size_t kMaxDescription = 200;
constexpr std::string_view kNumberPrefix = "AADSTS";

struct Meaning {
  std::int64_t number;
  Condition condition;
  std::string_view text;
};
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
constexpr std::array kMeanings = {
    Meaning{700016, kPrincipalNotFound, "the application is not in the directory of the tenant"},
    Meaning{7000112, kPrincipalNotFound, "the application is disabled"},
    Meaning{7000229, kPrincipalNotFound, "the application has no service principal in the tenant"},
    Meaning{90002, kTenantMismatch, "there is no such tenant"},
    Meaning{900023, kTenantMismatch, "what was given as tenant can be none"},
    Meaning{50020, kTenantMismatch, "the identity is not one of the tenant"},
    Meaning{500011, kTenantMismatch, "the resource is not known in the tenant"},
    Meaning{7000215, kCredentialInvalid, "the client secret is wrong"},
    Meaning{7000222, kCredentialInvalid, "the client secret has expired"},
    Meaning{7000216, kCredentialInvalid, "neither secret nor assertion was accepted"},
    Meaning{7000218, kCredentialInvalid, "neither secret nor assertion was accepted"},
    Meaning{700027, kCredentialInvalid,
            "the certificate has expired, or is not one of the application's"},
    Meaning{700024, kCredentialInvalid,
            "the assertion is not valid at this time: the clock of this machine may be wrong"},
    Meaning{700023, kCredentialInvalid, "the assertion is made for somebody else"},
    Meaning{50012, kCredentialInvalid, "the assertion has no valid signature"},
    Meaning{50013, kCredentialInvalid, "the assertion is not valid"},
    Meaning{50027, kCredentialInvalid, "the assertion is not valid"},
    Meaning{700021, kCredentialInvalid, "the assertion is not one of the application's"},
    Meaning{70021, kCredentialInvalid, "no federated credential of the application fits"},
    Meaning{700211, kCredentialInvalid, "no federated credential fits the issuer of the token"},
    Meaning{700212, kCredentialInvalid, "no federated credential fits the audience of the token"},
    Meaning{700213, kCredentialInvalid, "no federated credential fits the subject of the token"},
    Meaning{50196, kThrottled, "the same request was repeated too often"},
    Meaning{90033, kUnavailable, "the sign-in host has a passing fault"},
};

const Meaning* meaning_of(const SignInFailure& failure) {
  for (const std::int64_t number : failure.numbers) {
    const auto found = std::ranges::find(kMeanings, number, &Meaning::number);
    if (found != kMeanings.end()) return &*found;
  }
  return nullptr;
}

// The numbers behind each "AADSTS".
void find_numbers(std::string_view text, std::vector<std::int64_t>& numbers) {
  for (std::size_t at = text.find(kNumberPrefix); at != std::string_view::npos;
       at = text.find(kNumberPrefix, at)) {
    at += kNumberPrefix.size();
    std::int64_t number = 0;
    const auto status = std::from_chars(text.data() + at, text.data() + text.size(), number).ec;
    if (status == std::errc() && number > 0) numbers.push_back(number);
  }
}

// Codes of the services are one word in a text.
std::optional<Condition> named_in(std::string_view text) {
  while (!text.empty()) {
    const auto end = std::ranges::find_if_not(text, ascii::is_alphanumeric);
    const std::string_view word(text.begin(), end);
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    // Conditions have codes of driveprep's own, too.
    if (!word.starts_with("SsemUserError") && !word.starts_with("CmkError") &&
        !word.starts_with("UserErrorCMK")) {
      continue;
    }
    if (const auto condition = keywrap::condition_of(word)) return condition;
  }
  return std::nullopt;
}

void look_for_names(const JsonView& json, SignInFailure& failure) {
  if (const auto text = json.text(); text && !failure.named) failure.named = named_in(*text);
  for (const JsonMember& child : json.children()) look_for_names(child.value, failure);
}

// The first of the members that is a string.
std::string member_text(const JsonView& json, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const JsonView* member = json.find(name);
    if (member != nullptr && member->is_string()) return member->text().value();
  }
  return "";
}

void read_object(const JsonView& json, SignInFailure& failure) {
  const JsonView* nested = json.find("error");
  const JsonView& inner = nested != nullptr && nested->is_object() ? *nested : json;
  failure.error = excerpt(member_text(inner, {"error", "code"}), 60);
  const std::string description = member_text(inner, {"error_description", "message"});
  failure.description = excerpt(description, kMaxDescription);
  failure.request_id = excerpt(member_text(json, {"trace_id", "correlation_id"}), 60);
  if (const JsonView* numbers = json.find("error_codes")) {
    for (const JsonMember& number : numbers->children()) {
      if (const auto value = number.value.integer()) failure.numbers.push_back(*value);
    }
  }
  find_numbers(description, failure.numbers);
  look_for_names(json, failure);
}

}  // namespace

SignInFailure read_failure(std::string_view body) {
  SignInFailure failure;
  try {
    read_object(JsonView::parse(body, kMaxBodyBytes), failure);
  } catch (const FormatError&) {
    // An empty body, or the HTML of a proxy: the status has to do.
  }
  return failure;
}

SignInFailure read_failure_text(std::string_view text) {
  SignInFailure failure;
  failure.description = excerpt(text, kMaxDescription);
  find_numbers(text, failure.numbers);
  failure.named = named_in(text);
  return failure;
}

std::optional<Condition> condition_of(const SignInFailure& failure, bool user_assigned) {
  if (failure.named) return failure.named;
  const Meaning* meaning = meaning_of(failure);
  if (meaning == nullptr) return std::nullopt;
  const bool foreign = meaning->number == 50020 || meaning->number == 500011;
  return foreign && user_assigned ? kCrossTenantIdentity : meaning->condition;
}

Condition condition_of_status(int status) {
  if (status == 408) return kTimeout;
  if (status == 429) return kThrottled;
  return status >= 500 ? kUnavailable : kUnexpected;
}

std::string summary(const SignInFailure& failure) {
  if (const Meaning* meaning = meaning_of(failure)) {
    return std::string(kNumberPrefix) + std::to_string(meaning->number) + " (" +
           std::string(meaning->text) + ")";
  }
  if (!failure.numbers.empty()) {
    return std::string(kNumberPrefix) + std::to_string(failure.numbers.front());
  }
  return failure.error;
}

KeyEvidence evidence_of(int status, const SignInFailure& failure) {
  KeyEvidence evidence;
  evidence.http_status = status;
  evidence.vault_code = failure.error;
  if (!failure.numbers.empty()) {
    const Meaning* meaning = meaning_of(failure);
    evidence.vault_inner_code =
        std::string(kNumberPrefix) +
        std::to_string(meaning != nullptr ? meaning->number : failure.numbers.front());
  }
  evidence.request_id = failure.request_id;
  return evidence;
}

KeyError error_of(const http::Response& response, const Asked& asked) {
  SignInFailure failure = read_failure(response.body.text());
  if (const auto id = response.header("x-ms-request-id")) failure.request_id = excerpt(*id, 60);
  // OAuth's own word for a secret or certificate that was not accepted (RFC 6749, section 5.2).
  const Condition otherwise = failure.error == "invalid_client" && response.status < 429
                                  ? kCredentialInvalid
                                  : condition_of_status(response.status);
  const std::string told = summary(failure);
  return KeyError(condition_of(failure, asked.user_assigned).value_or(otherwise),
                  asked.where + " gave no token for " + asked.who + ": it answered " +
                      std::to_string(response.status) + (told.empty() ? "" : ", " + told),
                  evidence_of(response.status, failure));
}

KeyError error_of(const http::TransportError& error, const Asked& asked) {
  using Kind = http::TransportError::Kind;
  const Condition condition = [&] {
    switch (error.kind()) {
      case Kind::kTimeout: return kTimeout;
      case Kind::kTls: return kTlsFailure;
      case Kind::kTooLarge: return kUnexpected;
      // The vault may well be there: it is the sign-in host that has no address.
      case Kind::kNameUnknown:
      case Kind::kNameUnresolved:
      case Kind::kNotConnected: break;
    }
    return kUnavailable;
  }();
  return KeyError(condition, asked.where + " gave no token for " + asked.who + ": " + error.what());
}

}  // namespace driveprep::keywrap::identity

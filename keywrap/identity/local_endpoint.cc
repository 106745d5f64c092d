#include "keywrap/identity/local_endpoint.h"

#include <algorithm>

#include "base/ascii.h"
#include "keywrap/excerpt.h"
#include "keywrap/identity/challenge.h"
#include "keywrap/identity/token_response.h"

namespace driveprep::keywrap::identity {
namespace {

using http::Milliseconds;

// 1 + 2 + 4 + 8 + 16 s, then 16 s again and again.
constexpr Milliseconds kFirstWait{1'000};
constexpr Milliseconds kLongestOwnWait{16'000};
constexpr Milliseconds kLongestWait{60'000};

// How long may be waited in all, by what came. 410 is to be repeated for at least 70 s:
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
constexpr Milliseconds kBusy{31'000};
constexpr Milliseconds kMissing{79'000};
constexpr Milliseconds kBroken{7'000};

Milliseconds budget_of(int status, Patience patience) {
  if (patience == Patience::kMetadata && (status == 404 || status == 410)) return kMissing;
  return status == 429 || status >= 500 ? kBusy : Milliseconds(0);
}

Milliseconds budget_of(http::TransportError::Kind kind) {
  using Kind = http::TransportError::Kind;
  return kind == Kind::kNotConnected || kind == Kind::kTimeout ? kBroken : Milliseconds(0);
}

// What a 400 means: these endpoints know no other fault of the one who asks than to want an
// identity that is not there, but for a resource or a form that are wrong.
Condition condition_of_refusal(const SignInFailure& failure, const ManagedIdentity& identity) {
  if (failure.error == "invalid_resource" || failure.error.starts_with("bad_request")) {
    return Condition::kUnexpected;
  }
  if (!identity.is_user_assigned()) return Condition::kSystemIdentityAbsent;
  const std::string description = ascii::lower(failure.description);
  const bool absent = description.find("identity not found") != std::string::npos ||
                      description.find("identity found") != std::string::npos;
  return absent ? Condition::kUserIdentityAbsent : Condition::kUnexpected;
}

}  // namespace

std::string ManagedIdentity::describe() const {
  switch (name) {
    case Name::kSystemAssigned: break;
    case Name::kClientId: return "the user-assigned identity with the client id " + value;
    case Name::kResourceId: return "the user-assigned identity " + value;
  }
  return "the system-assigned identity";
}

ManagedIdentity ManagedIdentity::parse(std::string_view text) {
  if (text.empty()) return {};
  if (is_guid(text)) return {Name::kClientId, ascii::lower(text)};
  if (ascii::lower(text).starts_with("/subscriptions/")) {
    return {Name::kResourceId, std::string(text)};
  }
  throw KeyError(Condition::kUserIdentityAbsent,
                 "\"" + excerpt(text) + "\" is neither the resource id of a user-assigned " +
                     "identity (/subscriptions/...) nor its client id",
                 {}, "Name the user-assigned identity by its resource id or its client id.");
}

std::string local_url(const std::string& endpoint, const std::string& origin,
                      std::initializer_list<FormField> query) {
  if (!ascii::lower(endpoint).starts_with("http://") ||
      endpoint.find_first_of(" \t\r\n#@") != std::string::npos) {
    throw KeyError(Condition::kCredentialInvalid,
                   origin + " is \"" + excerpt(endpoint) + "\", which is no http URL", {},
                   "Correct the environment variable " + origin + ", or unset it.");
  }
  const SecretBytes encoded = encode_form(std::span(query.begin(), query.size()));
  return endpoint + (endpoint.find('?') == std::string::npos ? "?" : "&") +
         std::string(encoded.text());
}

http::Response send_locally(const http::Request& request, Patience patience, http::Sender& sender,
                            const Asked& asked) {
  const http::Surroundings& surroundings = sender.surroundings();
  Milliseconds waited{0};
  Milliseconds own_wait = kFirstWait;
  // False when the budget is used up.
  const auto wait = [&](Milliseconds budget, std::optional<Milliseconds> wanted) {
    const Milliseconds time =
        std::min(wanted ? std::max(*wanted, kFirstWait / 10) : own_wait, kLongestWait);
    own_wait = std::min(2 * own_wait, kLongestOwnWait);
    if (waited + time > budget) return false;
    if (time > kFirstWait) {
      surroundings.notice(asked.where + " has no token yet: waiting " +
                          std::to_string(time.count() / 1000) + " s");
    }
    surroundings.sleep(time);
    waited += time;
    return true;
  };
  for (;;) {
    try {
      http::Response response = http::exchange(sender.transport(), request);
      const Milliseconds budget = budget_of(response.status, patience);
      if (!wait(budget, http::requested_wait(response, surroundings.clock()))) return response;
    } catch (const http::TransportError& error) {
      if (!wait(budget_of(error.kind()), std::nullopt)) throw error_of(error, asked);
    }
  }
}

Token local_token(const http::Response& response, UnixSeconds now, const ManagedIdentity& identity,
                  const Asked& asked) {
  if (response.status != 400) return token_of(response, now, asked);
  const SignInFailure failure = read_failure(response.body.text());
  const auto known = condition_of(failure, identity.is_user_assigned());
  // The description may be shown: what was sent as a secret is blotted out in it.
  throw KeyError(known ? *known : condition_of_refusal(failure, identity),
                 asked.where + " gave no token for " + asked.who + ": it answered 400" +
                     (failure.description.empty() ? "" : ", " + failure.description),
                 evidence_of(response.status, failure));
}

}  // namespace driveprep::keywrap::identity

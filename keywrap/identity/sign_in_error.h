// What a token endpoint says instead of giving a token, and what it means for the key
// (key-wrapping reference, section 4.4).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "keywrap/http/transport.h"
#include "keywrap/key_error.h"

namespace driveprep::keywrap::identity {

// Who wanted a token, from whom.
struct Asked {
  std::string who;    // as TokenSource::describe() tells it
  std::string where;  // a host, or "the Azure CLI"
  bool user_assigned = false;
};

// The body of such an answer, as far as it can be understood: never throws because it is odd.
//   {"error": "invalid_client", "error_description": "AADSTS7000215: ...", "error_codes":
//   [7000215],
//    "trace_id": "..."}                                                          sign-in hosts,
//    IMDS
//   {"statusCode": 400, "message": "..."}, {"error": {"code": "...", "message": "..."}}  App
//   Service
// All texts are excerpts.
struct SignInFailure {
  std::string error;        // "invalid_client"
  std::string description;  // may repeat what was sent: not for messages when that was a secret
  std::vector<std::int64_t> numbers;  // AADSTS numbers, as listed or found in the description
  std::string request_id;
  std::optional<Condition> named;  // by a code of one of the services: SsemUserError...
};
SignInFailure read_failure(std::string_view body);
// The same for the plain text that a program printed.
SignInFailure read_failure_text(std::string_view text);

// The condition behind an AADSTS number or a service's code; nullopt when there is none, or none
// that is known.
std::optional<Condition> condition_of(const SignInFailure& failure, bool user_assigned);

// The error for a response of a sign-in host without token. The message has the AADSTS number and
// what it means, and nothing of the description.
KeyError error_of(const http::Response& response, const Asked& asked);
// kUnavailable, kTimeout, kTlsFailure; kUnexpected when the answer was too long.
KeyError error_of(const http::TransportError& error, const Asked& asked);

// The condition when nothing but the status of the answer is known.
Condition condition_of_status(int status);
// "AADSTS7000222 (the client secret has expired)", "invalid_client", or "" when nothing was told.
std::string summary(const SignInFailure& failure);
KeyEvidence evidence_of(int status, const SignInFailure& failure);

}  // namespace driveprep::keywrap::identity

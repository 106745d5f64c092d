// The answer of a token endpoint (RFC 6749, section 5.1; instance metadata, App Service and Arc
// answer in the same form).
//
// The token goes from the body, which is a SecretBytes, into the SecretBytes of the Token; it lies
// nowhere else. Members that are not known, of whatever shape, are not looked into.
#pragma once

#include <string_view>

#include "keywrap/identity/sign_in_error.h"
#include "keywrap/identity/token_source.h"
#include "keywrap/json_view.h"

namespace driveprep::keywrap::identity {

// `now`: what expires_in counts from. Its numbers may be written as strings. When both expires_on
// and expires_in are there, the earlier time counts. Throws FormatError, without quoting the body,
// for what is no such answer: no token, one that cannot stand in a header, another type than
// Bearer, or no time of expiry.
Token read_token(std::string_view body, UnixSeconds now);

// The same for a response; an Error of what the response tells when it is none with a token.
Token token_of(const http::Response& response, UnixSeconds now, const Asked& asked);

// The parts of it, for answers with other names.
// A token that may stand behind "Bearer ": visible ASCII, and not empty.
SecretBytes token_text(const JsonView* member);
// Seconds as number or string; nullopt for anything else.
std::optional<std::int64_t> seconds_of(const JsonView* member);

}  // namespace driveprep::keywrap::identity

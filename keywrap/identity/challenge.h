// What a vault answers to a request without token: WWW-Authenticate, read and then judged
// (key-wrapping reference, section 4.3; RFC 9110, section 11.6.1).
//
// Reading and judging are apart, and nothing that was read may be used before it was judged: the
// server decides what its challenge says, so it could ask for a token that opens other doors, or
// send the client secret elsewhere. There is no state: a second call with the same challenge is
// judged like the first one.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "keywrap/cloud.h"
#include "keywrap/http/transport.h"
#include "keywrap/identity/token_source.h"

namespace driveprep::keywrap::identity {

// One scheme with its parameters, as sent.
struct Challenge {
  struct Parameter {
    std::string name;  // lower case
    std::string value;
  };

  std::string scheme;  // lower case: "bearer", "pop", "basic"
  std::vector<Parameter> parameters;

  // nullopt when it is not there. Throws FormatError when it is there twice.
  std::optional<std::string_view> parameter(std::string_view name) const;
};

// The challenges of one header after the other. Parameters may be divided by commas, white space or
// both; values are tokens, or quoted strings with backslash escapes. Throws FormatError for a
// quoted string without end, more than 16 KiB or more than 64 parameters.
std::vector<Challenge> parse_challenges(const std::vector<std::string_view>& headers);
// Those of all WWW-Authenticate headers of the response.
std::vector<Challenge> challenges_of(const http::Response& response);

// What a token may be asked for, if everything in the first Bearer challenge that names an
// authority is as it must be; otherwise a KeyError:
//   kChallengeRejected     no such challenge, or ambiguous; the resource is not the one that the
//                          cloud has for stores of this kind (a managed HSM never gets the token of
//                          a vault, nor a vault that of a managed HSM), or `request_host` does not
//                          lie below it; the tenant is not one
//   kAuthorityNotTrusted   the authority is not https, or no sign-in host of the cloud
//   kTenantMismatch        the tenant is not `pinned_tenant` (when that is not empty)
// `request_host`: the host that the challenged request went to.
TokenRequest validate(const std::vector<Challenge>& challenges, std::string_view request_host,
                      const Cloud& cloud, StoreKind kind, std::string_view pinned_tenant);

// The claims that a token has to have, as JSON, when the challenge is one after a token that was
// valid and is no longer enough (error="insufficient_claims"); empty when it asks for none. Such a
// challenge may come without resource: then the claims are added to the request that was validated
// before. Throws KeyError kChallengeRejected for claims that are not base64 of a JSON object of at
// most 4 KiB.
std::string claims_of(const std::vector<Challenge>& challenges);

// Whether `host` is one of the cloud's sign-in hosts; without case.
bool is_sign_in_host(std::string_view host, const Cloud& cloud);
// The form of a GUID as in URLs: 36 characters, no braces.
bool is_guid(std::string_view text);

}  // namespace driveprep::keywrap::identity

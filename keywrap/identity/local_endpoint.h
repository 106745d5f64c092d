// Token endpoints of the machine itself: what instance metadata, App Service and Arc have in
// common. Plain http, never through a proxy, redirects not followed.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "keywrap/http/sender.h"
#include "keywrap/identity/client_credentials.h"
#include "keywrap/identity/sign_in_error.h"
#include "keywrap/identity/token_source.h"

namespace driveprep::keywrap::identity {

// A user-assigned identity by one of its names; empty: the system-assigned one.
struct ManagedIdentity {
  enum class Name { kSystemAssigned, kClientId, kResourceId };
  Name name = Name::kSystemAssigned;
  std::string value = {};

  bool is_user_assigned() const { return name != Name::kSystemAssigned; }
  std::string describe() const;

  // The ARM resource id ("/subscriptions/..."), or a GUID, which is taken for a client id; empty
  // text is the system-assigned identity. Throws KeyError kUserIdentityAbsent for other texts.
  static ManagedIdentity parse(std::string_view text);
};

// "endpoint?a=b&c=d", percent-encoded. Throws KeyError kCredentialInvalid when the endpoint, which
// `origin` names ("IDENTITY_ENDPOINT"), is no http URL.
std::string local_url(const std::string& endpoint, const std::string& origin,
                      std::initializer_list<FormField> query);

enum class Patience {
  kPlain,     // 429 and 5xx are repeated for half a minute, a broken connection for a few seconds
  kMetadata,  // besides, 404 and 410 for more than 70 seconds: metadata is being updated
};
// Sends until an answer is final; a KeyError when none comes.
http::Response send_locally(const http::Request& request, Patience patience, http::Sender& sender,
                            const Asked& asked);

// The token out of the final answer; else a KeyError: what the body tells, and for 400 that
// the identity is not there.
Token local_token(const http::Response& response, UnixSeconds now, const ManagedIdentity& identity,
                  const Asked& asked);

}  // namespace driveprep::keywrap::identity

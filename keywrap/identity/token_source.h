// Where access tokens come from (key-wrapping reference, section 4.4).
#pragma once

#include <memory>
#include <string>

#include "base/secret_bytes.h"
#include "keywrap/key_store.h"

namespace driveprep::keywrap::identity {

// What the token is wanted for; both come from a challenge that has been validated.
struct TokenRequest {
  std::string authority;  // "https://login.microsoftonline.com", no slash at the end
  std::string tenant;     // GUID
  std::string resource;   // "https://vault.azure.net"
  std::string claims;     // JSON that a challenge asked for; usually empty

  friend auto operator<=>(const TokenRequest&, const TokenRequest&) = default;
};

struct Token {
  SecretBytes value;
  UnixSeconds expires = 0;
};

// Throws KeyError: kSystemIdentityAbsent, kUserIdentityAbsent, kPrincipalNotFound, kTenantMismatch,
// kCredentialInvalid, kThrottled, kUnavailable, kTimeout, kTlsFailure, kUnexpected. Error texts
// tell the AADSTS number, never what was sent. Safe to use from several threads.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  // Asks anew each time; TokenCache keeps what came.
  virtual Token fetch(const TokenRequest& request) = 0;
  // "the client secret of 11111111-..." for messages and `key status`; nothing secret.
  virtual std::string describe() const = 0;
};

}  // namespace driveprep::keywrap::identity

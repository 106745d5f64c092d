// Signing in with something that a client (an application of the directory) has: a secret, or an
// assertion (RFC 6749, section 4.4; RFC 7523, section 2.2).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "keywrap/cloud.h"
#include "keywrap/http/sender.h"
#include "keywrap/identity/credential_file.h"
#include "keywrap/identity/sign_in_error.h"
#include "keywrap/identity/token_source.h"

namespace driveprep::keywrap::identity {

struct ClientIdentity {
  std::string client_id;  // GUID of the application
  std::string tenant;     // the client's; empty: whatever the vault's is
  bool user_assigned = false;
};

// "https://login.microsoftonline.com/TENANT/oauth2/v2.0/token". Judges once more what comes from a
// challenge, for this is where a credential goes: kAuthorityNotTrusted when the authority is no
// sign-in host of the cloud, kTenantMismatch when the client belongs to another tenant.
std::string token_endpoint(const TokenRequest& request, const ClientIdentity& client,
                           const Cloud& cloud);

struct FormField {
  std::string_view name;
  std::string_view value;
};
// application/x-www-form-urlencoded.
SecretBytes encode_form(std::span<const FormField> fields);

// Posts the form for `request` with the fields of the credential. Nothing of it comes back in
// errors.
Token fetch_with_credential(const std::string& endpoint, const TokenRequest& request,
                            const ClientIdentity& client, std::span<const FormField> credential,
                            http::Sender& sender, const std::string& who);

// As above, with a signed assertion (a JWT) for credential.
Token fetch_with_assertion(const std::string& endpoint, const TokenRequest& request,
                           const ClientIdentity& client, std::string_view assertion,
                           http::Sender& sender, const std::string& who);

}  // namespace driveprep::keywrap::identity

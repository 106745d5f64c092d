// Signs in with a certificate: a JWT signed by its key (RFC 7523; RFC 7518, section 3.5).
#pragma once

#include "keywrap/identity/client_credentials.h"

namespace driveprep::keywrap::identity {

// `file`: PEM, the certificate and its RSA private key, not encrypted; other certificates may stand
// in it, too. Read for every request. kCredentialInvalid when it cannot be used, or the certificate
// has expired.
class ClientCertificateSource final : public TokenSource {
 public:
  ClientCertificateSource(ClientIdentity client, std::filesystem::path file, Cloud cloud,
                          http::Sender& sender);

  Token fetch(const TokenRequest& request) override;
  std::string describe() const override;

 private:
  ClientIdentity client_;
  std::filesystem::path file_;
  Cloud cloud_;
  http::Sender& sender_;
};

// The assertion: PS256, x5t#S256 in its header; `audience` is the token endpoint, issuer and
// subject are the client; valid for 10 minutes from `now`, with an id of its own. `name`: of the
// PEM, for errors.
SecretBytes make_assertion(const SecretBytes& pem, const std::string& name,
                           const std::string& client_id, const std::string& audience,
                           UnixSeconds now);

}  // namespace driveprep::keywrap::identity

// Managed identity in App Service, Functions and Container Apps.
#pragma once

#include "keywrap/identity/local_endpoint.h"

namespace driveprep::keywrap::identity {

class AppServiceSource final : public TokenSource {
 public:
  // `endpoint` and `header`: of IDENTITY_ENDPOINT and IDENTITY_HEADER; the latter is a secret that
  // the platform gives in the environment.
  AppServiceSource(ManagedIdentity identity, std::string endpoint, SecretBytes header,
                   http::Sender& sender);

  Token fetch(const TokenRequest& request) override;
  std::string describe() const override;

 private:
  ManagedIdentity identity_;
  std::string endpoint_;
  SecretBytes header_;
  http::Sender& sender_;
};

}  // namespace driveprep::keywrap::identity

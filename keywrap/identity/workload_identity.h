// Signs in with a token of another issuer that the application trusts: workload identity
// federation, as in Kubernetes.
#pragma once

#include "keywrap/identity/client_credentials.h"

namespace driveprep::keywrap::identity {

// `token_file` is read for every request: the orchestrator renews it. `authority`: of
// AZURE_AUTHORITY_HOST, "https://login.microsoftonline.com/"; empty: that of the request. It has to
// be a sign-in host of the cloud, too.
class WorkloadIdentitySource final : public TokenSource {
 public:
  WorkloadIdentitySource(ClientIdentity client, std::filesystem::path token_file,
                         std::string authority, Cloud cloud, http::Sender& sender);

  Token fetch(const TokenRequest& request) override;
  std::string describe() const override;

 private:
  ClientIdentity client_;
  std::filesystem::path token_file_;
  std::string authority_;
  Cloud cloud_;
  http::Sender& sender_;
};

}  // namespace driveprep::keywrap::identity

// Managed identity of a virtual machine, from its instance metadata service (IMDS).
#pragma once

#include <atomic>

#include "keywrap/identity/local_endpoint.h"

namespace driveprep::keywrap::identity {

inline constexpr const char* kMetadataHost = "http://169.254.169.254";

class InstanceMetadataSource final : public TokenSource {
 public:
  // `host`: of AZURE_POD_IDENTITY_AUTHORITY_HOST; empty: the fixed address of every cloud machine.
  InstanceMetadataSource(ManagedIdentity identity, const std::string& host, http::Sender& sender);

  // Whether anybody is there, found out within a second: "" when there is, else why not. A network
  // without this service often drops what is sent to its address, so nothing else may be waited
  // for.
  std::string probe();

  // Probes up to three times before the first request. Claims of the request are not sent: the
  // service knows none, and gives a new token by itself when the old one was revoked.
  Token fetch(const TokenRequest& request) override;
  std::string describe() const override;

 private:
  ManagedIdentity identity_;
  std::string endpoint_;
  http::Sender& sender_;
  std::atomic<bool> is_there_ = false;
};

}  // namespace driveprep::keywrap::identity

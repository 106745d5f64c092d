#include "keywrap/identity/workload_identity.h"

namespace driveprep::keywrap::identity {

WorkloadIdentitySource::WorkloadIdentitySource(ClientIdentity client,
                                               std::filesystem::path token_file,
                                               std::string authority, Cloud cloud,
                                               http::Sender& sender)
    : client_(std::move(client)),
      token_file_(std::move(token_file)),
      authority_(std::move(authority)),
      cloud_(std::move(cloud)),
      sender_(sender) {
  if (authority_.ends_with('/')) authority_.pop_back();
}

Token WorkloadIdentitySource::fetch(const TokenRequest& request) {
  TokenRequest asked = request;
  if (!authority_.empty()) asked.authority = authority_;
  const std::string endpoint = token_endpoint(asked, client_, cloud_);
  const SecretBytes assertion = read_credential(token_file_, FileRule::kProjected);
  return fetch_with_assertion(endpoint, asked, client_, assertion.text(), sender_, describe());
}

std::string WorkloadIdentitySource::describe() const {
  return "the workload identity " + client_.client_id;
}

}  // namespace driveprep::keywrap::identity

#include "keywrap/identity/client_secret.h"

namespace driveprep::keywrap::identity {

ClientSecretSource::ClientSecretSource(ClientIdentity client, std::filesystem::path file,
                                       Cloud cloud, http::Sender& sender)
    : client_(std::move(client)),
      file_(std::move(file)),
      cloud_(std::move(cloud)),
      sender_(sender) {}

Token ClientSecretSource::fetch(const TokenRequest& request) {
  const std::string endpoint = token_endpoint(request, client_, cloud_);
  const SecretBytes secret = read_credential(file_, FileRule::kOwnerOnly);
  const FormField credential[] = {{"client_secret", secret.text()}};
  return fetch_with_credential(endpoint, request, client_, credential, sender_, describe());
}

std::string ClientSecretSource::describe() const {
  return "the client secret of " + client_.client_id;
}

}  // namespace driveprep::keywrap::identity

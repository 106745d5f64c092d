#include "keywrap/identity/app_service.h"

namespace driveprep::keywrap::identity {
namespace {

constexpr const char* kVariable = "IDENTITY_ENDPOINT";

// Its names for the identity differ from those of instance metadata.
std::string url(const std::string& endpoint, const std::string& resource,
                const ManagedIdentity& identity) {
  using Name = ManagedIdentity::Name;
  const FormField version{"api-version", "2019-08-01"};
  const FormField wanted{"resource", resource};
  switch (identity.name) {
    case Name::kSystemAssigned: break;
    case Name::kClientId:
      return local_url(endpoint, kVariable, {version, wanted, {"client_id", identity.value}});
    case Name::kResourceId:
      return local_url(endpoint, kVariable, {version, wanted, {"mi_res_id", identity.value}});
  }
  return local_url(endpoint, kVariable, {version, wanted});
}

}  // namespace

AppServiceSource::AppServiceSource(ManagedIdentity identity, std::string endpoint,
                                   SecretBytes header, http::Sender& sender)
    : identity_(std::move(identity)),
      endpoint_(std::move(endpoint)),
      header_(std::move(header)),
      sender_(sender) {}

Token AppServiceSource::fetch(const TokenRequest& request) {
  const Asked asked{describe(), "the identity endpoint of App Service",
                    identity_.is_user_assigned()};
  http::Request get;
  get.url = url(endpoint_, request.resource, identity_);
  get.headers = {{"Accept", "application/json"}};
  get.secret_header = http::SecretHeader{"X-IDENTITY-HEADER", "", &header_};
  get.local_endpoint = true;
  const UnixSeconds now = sender_.surroundings().clock();
  const http::Response response = send_locally(get, Patience::kPlain, sender_, asked);
  return local_token(response, now, identity_, asked);
}

std::string AppServiceSource::describe() const { return identity_.describe() + " of this app"; }

}  // namespace driveprep::keywrap::identity

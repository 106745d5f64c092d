#include "keywrap/identity/instance_metadata.h"

#include "base/ascii.h"

namespace driveprep::keywrap::identity {
namespace {

constexpr const char* kPath = "/metadata/identity/oauth2/token";
constexpr const char* kApiVersion = "2018-02-01";
constexpr const char* kVariable = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
constexpr int kProbes = 3;
constexpr std::chrono::milliseconds kProbeTime{1'000};

std::string endpoint_at(std::string host) {
  if (host.empty()) host = kMetadataHost;
  if (host.ends_with('/')) host.pop_back();
  return host + kPath;
}

std::string url(const std::string& endpoint, const std::string& resource,
                const ManagedIdentity& identity) {
  using Name = ManagedIdentity::Name;
  const FormField version{"api-version", kApiVersion};
  const FormField wanted{"resource", resource};
  switch (identity.name) {
    case Name::kSystemAssigned: break;
    case Name::kClientId:
      return local_url(endpoint, kVariable, {version, wanted, {"client_id", identity.value}});
    case Name::kResourceId:
      return local_url(endpoint, kVariable, {version, wanted, {"msi_res_id", identity.value}});
  }
  return local_url(endpoint, kVariable, {version, wanted});
}

}  // namespace

InstanceMetadataSource::InstanceMetadataSource(ManagedIdentity identity, const std::string& host,
                                               http::Sender& sender)
    : identity_(std::move(identity)), endpoint_(endpoint_at(host)), sender_(sender) {}

std::string InstanceMetadataSource::probe() {
  http::Request request;
  // Without the header Metadata the service answers 400 at once, and does nothing.
  request.url = local_url(endpoint_, kVariable, {{"api-version", kApiVersion}});
  request.timeout = kProbeTime;
  request.local_endpoint = true;
  try {
    const http::Response response = sender_.transport().send(request);
    // What stands in for the network in Docker Desktop answers for every address.
    if (response.status == 403 &&
        ascii::lower(response.body.text()).find("unreachable") != std::string::npos) {
      return http::host_of(endpoint_) + " cannot be reached";
    }
  } catch (const http::TransportError& error) {
    return error.what();
  }
  is_there_ = true;
  return "";
}

Token InstanceMetadataSource::fetch(const TokenRequest& request) {
  const Asked asked{describe(), "instance metadata", identity_.is_user_assigned()};
  http::Request get;
  get.url = url(endpoint_, request.resource, identity_);
  get.headers = {{"Metadata", "true"}, {"Accept", "application/json"}};
  get.local_endpoint = true;
  for (int i = 1; !is_there_; ++i) {
    const std::string why = probe();
    if (!why.empty() && i == kProbes) {
      throw KeyError(Condition::kUnavailable,
                     "there is no instance metadata service that could give a token for " +
                         describe() + ": " + why,
                     {},
                     "Run on a machine in Azure that has a managed identity, or name another "
                     "source of credentials in job.json (encryption.credential.source).");
    }
    if (!why.empty()) sender_.surroundings().sleep(kProbeTime);
  }
  const UnixSeconds now = sender_.surroundings().clock();
  const http::Response response = send_locally(get, Patience::kMetadata, sender_, asked);
  return local_token(response, now, identity_, asked);
}

std::string InstanceMetadataSource::describe() const {
  return identity_.describe() + " of this machine";
}

}  // namespace driveprep::keywrap::identity

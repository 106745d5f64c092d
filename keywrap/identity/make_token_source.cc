#include "keywrap/identity/make_token_source.h"

#include <mutex>

#include "keywrap/excerpt.h"
#include "keywrap/identity/app_service.h"
#include "keywrap/identity/client_certificate.h"
#include "keywrap/identity/client_secret.h"
#include "keywrap/identity/instance_metadata.h"
#include "keywrap/identity/workload_identity.h"

namespace driveprep::keywrap::identity {
namespace {

using Source = std::unique_ptr<TokenSource>;

[[noreturn]] void unusable(const std::string& why) {
  throw KeyError(Condition::kCredentialInvalid, why, {},
                 "Correct encryption.credential in job.json.");
}

void require_set(bool set, const std::string& source, const std::string& what) {
  if (!set) unusable("the credential source " + source + " needs " + what);
}

// Makes sources, and says why one of them does not come into question.
class Maker {
 public:
  Maker(const CredentialSettings& settings, http::Sender& sender, const Machine& machine)
      : settings_(settings), sender_(sender), machine_(machine) {}

  Source make() const {
    const std::string& name = settings_.source;
    if (name == "managed-identity") return managed_identity();
    if (name == "client-secret") return client_secret();
    if (name == "client-certificate") return client_certificate();
    if (name == "workload-identity") return workload_identity();
    if (name == "azure-cli") return azure_cli();
    unusable("there is no credential source \"" + excerpt(name) + "\"");
  }

  // The first source that comes into question.
  Source choose() const {
    std::string tried;
    const auto not_possible = [&](const std::string& what, const std::string& why) {
      tried += (tried.empty() ? "" : "; ") + what + ": " + why;
    };
    if (workload_variables().empty()) return workload_identity();
    not_possible("workload identity", workload_variables() + " is not set");
    if (has_app_service() || has_arc_variables()) return managed_identity();
    not_possible("App Service and Azure Arc",
                 "IDENTITY_ENDPOINT is not set, or not with "
                 "IDENTITY_HEADER or IMDS_ENDPOINT");
    auto metadata = instance_metadata();
    const std::string absent = metadata->probe();
    if (absent.empty()) return metadata;
    not_possible("managed identity", "no instance metadata, " + absent);
    if (find_program("az", environment("PATH"))) return azure_cli();
    not_possible("Azure CLI", "az is in no directory of PATH");
    throw KeyError(Condition::kCredentialInvalid,
                   "there is no source of credentials on this machine: " + tried, {},
                   "Name a source of credentials in job.json (encryption.credential.source), for "
                   "example client-secret with its file, or install the Azure CLI and run az "
                   "login.");
  }

 private:
  std::string environment(const std::string& name) const { return machine_.environment(name); }

  ClientIdentity client() const {
    return {settings_.client_id, settings_.tenant, !settings_.user_assigned.empty()};
  }

  Source client_secret() const {
    require_set(!settings_.client_id.empty(), settings_.source, "a client id");
    require_set(!settings_.secret_file.empty(), settings_.source, "the file with the secret");
    return std::make_unique<ClientSecretSource>(client(), settings_.secret_file, settings_.cloud,
                                                sender_);
  }

  Source client_certificate() const {
    require_set(!settings_.client_id.empty(), settings_.source, "a client id");
    require_set(!settings_.certificate_file.empty(), settings_.source,
                "the file with certificate and key");
    return std::make_unique<ClientCertificateSource>(client(), settings_.certificate_file,
                                                     settings_.cloud, sender_);
  }

  // Which of the variables of workload identity is missing; "" when none is.
  std::string workload_variables() const {
    for (const char* name : {"AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"}) {
      if (environment(name).empty()) return name;
    }
    return "";
  }

  Source workload_identity() const {
    ClientIdentity client = this->client();
    if (client.client_id.empty()) client.client_id = environment("AZURE_CLIENT_ID");
    if (client.tenant.empty()) client.tenant = environment("AZURE_TENANT_ID");
    std::filesystem::path file = settings_.token_file;
    if (file.empty()) file = environment("AZURE_FEDERATED_TOKEN_FILE");
    require_set(!client.client_id.empty(), "workload-identity",
                "a client id, there or in AZURE_CLIENT_ID");
    require_set(!file.empty(), "workload-identity",
                "the file with the token, there or in AZURE_FEDERATED_TOKEN_FILE");
    return std::make_unique<WorkloadIdentitySource>(std::move(client), std::move(file),
                                                    environment("AZURE_AUTHORITY_HOST"),
                                                    settings_.cloud, sender_);
  }

  bool has_app_service() const {
    return !environment("IDENTITY_ENDPOINT").empty() && !environment("IDENTITY_HEADER").empty();
  }
  bool has_arc_variables() const {
    return !environment("IDENTITY_ENDPOINT").empty() && !environment("IMDS_ENDPOINT").empty();
  }
  bool has_arc_agent() const {
    std::error_code ignored;
    return std::filesystem::is_directory(machine_.arc_tokens, ignored);
  }

  ManagedIdentity user_identity() const {
    return ManagedIdentity::parse(settings_.client_id.empty() ? settings_.user_assigned
                                                              : settings_.client_id);
  }

  Source managed_identity() const {
    const ManagedIdentity identity = user_identity();
    if (has_app_service()) {
      if (!environment("IDENTITY_SERVER_THUMBPRINT").empty()) {
        unusable("the managed identities of Service Fabric are not supported");
      }
      return std::make_unique<AppServiceSource>(
          identity, environment("IDENTITY_ENDPOINT"),
          SecretBytes::copy_of(environment("IDENTITY_HEADER")), sender_);
    }
    if (!has_arc_variables() && !has_arc_agent()) return instance_metadata();
    if (identity.is_user_assigned()) {
      throw KeyError(Condition::kUserIdentityAbsent,
                     "Azure Arc machines have no user-assigned identities, and the job names " +
                         identity.describe());
    }
    return std::make_unique<AzureArcSource>(environment("IDENTITY_ENDPOINT"), sender_,
                                            machine_.arc_tokens);
  }

  std::unique_ptr<InstanceMetadataSource> instance_metadata() const {
    return std::make_unique<InstanceMetadataSource>(
        user_identity(), environment("AZURE_POD_IDENTITY_AUTHORITY_HOST"), sender_);
  }

  Source azure_cli() const { return std::make_unique<AzureCliSource>(machine_.environment); }

  CredentialSettings settings_;
  http::Sender& sender_;
  Machine machine_;
};

class AutomaticSource final : public TokenSource {
 public:
  explicit AutomaticSource(Maker maker) : maker_(std::move(maker)) {}

  Token fetch(const TokenRequest& request) override { return chosen().fetch(request); }

  std::string describe() const override {
    const std::scoped_lock lock(mutex_);
    return chosen_ ? chosen_->describe() : "whoever this machine is signed in as";
  }

 private:
  // Who found nothing looks again: the operator may have signed in meanwhile.
  TokenSource& chosen() {
    const std::scoped_lock lock(mutex_);
    if (!chosen_) chosen_ = maker_.choose();
    return *chosen_;
  }

  Maker maker_;
  mutable std::mutex mutex_;
  Source chosen_;
};

}  // namespace

Source make_token_source(const CredentialSettings& settings, http::Sender& sender,
                         const Machine& machine) {
  const Maker maker(settings, sender, machine);
  if (settings.source == "auto") return std::make_unique<AutomaticSource>(maker);
  return maker.make();
}

}  // namespace driveprep::keywrap::identity

// The source of tokens that a job names (job.json: encryption.credential).
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "keywrap/cloud.h"
#include "keywrap/http/sender.h"
#include "keywrap/identity/azure_arc.h"
#include "keywrap/identity/azure_cli.h"
#include "keywrap/identity/token_source.h"

namespace driveprep::keywrap::identity {

// Empty members are not set.
struct CredentialSettings {
  // "managed-identity", "client-secret", "client-certificate", "workload-identity", "azure-cli" or
  // "auto".
  std::string source = "auto";
  std::string tenant = {};  // of the client; otherwise the vault's
  // Of the application; of the user-assigned identity when the source is a managed one.
  std::string client_id = {};
  std::filesystem::path secret_file = {};
  std::filesystem::path certificate_file = {};
  std::filesystem::path token_file = {};  // otherwise AZURE_FEDERATED_TOKEN_FILE
  // Resource id or client id of the user-assigned identity that a managed source takes when there
  // is no client_id; empty, too: the system-assigned one.
  std::string user_assigned = {};
  Cloud cloud = {};
};

struct Machine {
  Environment environment = process_environment();
  std::filesystem::path arc_tokens = kArcTokenDirectory;
};

// "managed-identity" asks App Service when IDENTITY_ENDPOINT and IDENTITY_HEADER are set, Azure Arc
// when IDENTITY_ENDPOINT and IMDS_ENDPOINT are set or its agent's directory is there, else instance
// metadata.
//
// "auto" decides at the first request, and stays with it: workload identity when its three
// variables are set, App Service or Azure Arc when theirs are, instance metadata when it answers a
// probe of one second, else the Azure CLI if there is one. A source that was chosen and fails is
// not replaced by the next one.
//
// Throws KeyError kCredentialInvalid when a setting is missing or unknown. `sender` outlives the
// source.
std::unique_ptr<TokenSource> make_token_source(const CredentialSettings& settings,
                                               http::Sender& sender, const Machine& machine = {});

}  // namespace driveprep::keywrap::identity

// /encryption of job.json: the key that protects the drives' recovery passwords, and how this
// machine reaches it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "agent/job/json_object.h"
#include "base/ascii.h"
#include "keywrap/condition.h"

namespace driveprep::job {

// The identity under which the service reaches a customer-managed key.
struct Identity {
  enum class Type { kSystemAssigned, kUserAssigned };
  Type type = Type::kSystemAssigned;
  std::string user_assigned_id;  // ARM id; only with kUserAssigned

  // Resource ids do not tell upper from lower case.
  friend bool operator==(const Identity& a, const Identity& b) {
    return a.type == b.type && ascii::lower(a.user_assigned_id) == ascii::lower(b.user_assigned_id);
  }
};
// "SystemAssigned", "UserAssigned".
std::string_view to_string(Identity::Type type);
// Whether `text` has the form of a resource id of a user-assigned identity:
// /subscriptions/*/resourceGroups/*/providers/Microsoft.ManagedIdentity/userAssignedIdentities/*
bool is_user_assigned_id(std::string_view text);

// How this workstation signs in to the vault. Secrets are named by file, never written in job.json.
struct Credential {
  std::string source = "auto";
  std::string tenant_id;
  std::string client_id;
  std::optional<std::filesystem::path> client_secret_file;
  std::optional<std::filesystem::path> certificate_file;
  std::optional<std::filesystem::path> token_file;
};

// A key outside this machine's own store, named by one URL (of a vault, or pkcs11:), or by vault,
// name and version. Not judged here.
struct KeyReference {
  std::string key_url;  // exclusive with vault_uri
  std::string vault_uri;
  std::string key_name;
  std::string key_version;  // empty: the newest
};

// Hosts of a cloud that is none of Azure's own.
struct CustomCloud {
  std::string vault_suffix;        // lower case, without a dot in front
  std::string managed_hsm_suffix;  // empty: the cloud has no Managed HSM
  std::vector<std::string> sign_in_hosts;
  // Host names of what tokens are made for; empty: the suffix.
  std::string vault_resource;
  std::string managed_hsm_resource;
};

// Other addresses for hosts and another certificate authority: for test set-ups only.
struct TestEndpoints {
  std::vector<std::string> connect_to;  // HOST:PORT:CONNECT-TO-HOST:CONNECT-TO-PORT
  std::optional<std::filesystem::path> ca_file;
};

struct Encryption {
  // Directory of the local key store; absolute.
  std::filesystem::path key_store;
  // Name of the key in the local store.
  std::string key_name = "driveprep";
  std::optional<KeyReference> customer_key;
  // The service whose rules hold for the key.
  keywrap::Profile profile = keywrap::Profile::kImportExport;
  std::string vault_resource_id;
  Identity identity;
  std::string cloud = "public";
  std::optional<CustomCloud> custom_cloud;  // exactly with cloud "custom"
  Credential credential;
  bool allow_managed_hsm = false;
  bool allow_region_mismatch = false;
  unsigned retry_seconds = 60;  // for how long a busy vault is asked again
  std::optional<TestEndpoints> test_endpoints;
};

// The member "encryption" of `job`; relative paths start at `directory`.
Encryption parse_encryption(JsonObject& job, const std::filesystem::path& directory);

// $XDG_DATA_HOME/driveprep/keystore, else ~/.local/share/driveprep/keystore.
std::filesystem::path default_key_store();

}  // namespace driveprep::job

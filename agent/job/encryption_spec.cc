#include "agent/job/encryption_spec.h"

#include <algorithm>

#include "agent/job/json_choices.h"
#include "base/ascii.h"
#include "base/error.h"
#include "base/user_directories.h"

namespace driveprep::job {
namespace {

constexpr std::uint64_t kLongestRetry = 3600;

constexpr std::array<Choice<Identity::Type>, 2> kIdentityTypes = {
    {{"SystemAssigned", Identity::Type::kSystemAssigned},
     {"UserAssigned", Identity::Type::kUserAssigned}}};

Identity identity(JsonObject object) {
  Identity result;
  result.type = choose(object, "type", kIdentityTypes, Identity::Type::kSystemAssigned);
  result.user_assigned_id = object.text("userAssignedIdentityId").value_or("");
  if ((result.type == Identity::Type::kUserAssigned) != !result.user_assigned_id.empty()) {
    throw object.error("userAssignedIdentityId", "job-value",
                       "and the type of the identity contradict each other",
                       "Give the id exactly when the type is UserAssigned.");
  }
  if (result.user_assigned_id.starts_with('/') && !is_user_assigned_id(result.user_assigned_id)) {
    throw object.error("userAssignedIdentityId", "job-value", "is no resource id of an identity",
                       "Copy it from the portal: /subscriptions/ID/resourceGroups/GROUP/providers/"
                       "Microsoft.ManagedIdentity/userAssignedIdentities/NAME.");
  }
  object.finish();
  return result;
}

Credential credential(JsonObject object, const std::filesystem::path& directory) {
  Credential result;
  result.source = choose_text(object, "source",
                              {"auto", "managed-identity", "client-secret", "client-certificate",
                               "workload-identity", "azure-cli"},
                              result.source);
  result.tenant_id = object.text("tenantId").value_or("");
  result.client_id = object.text("clientId").value_or("");
  result.client_secret_file = path_member(object, "clientSecretFile", directory);
  result.certificate_file = path_member(object, "certificateFile", directory);
  result.token_file = path_member(object, "tokenFile", directory);
  object.finish();
  return result;
}

// The name of a host or suffix in lower case: with or without `decoration` in front and a slash
// behind, as such names are written elsewhere.
std::string host_name(const JsonObject& object, const char* member, std::string text,
                      std::string_view decoration) {
  std::string name = ascii::lower(text);
  if (name.starts_with(decoration)) name.erase(0, decoration.size());
  if (name.ends_with('/')) name.pop_back();
  const bool fits = !name.empty() && name.find("..") == std::string::npos &&
                    ascii::is_alphanumeric(name.front()) && ascii::is_alphanumeric(name.back()) &&
                    std::all_of(name.begin(), name.end(), [](char c) {
                      return ascii::is_alphanumeric(c) || c == '-' || c == '.';
                    });
  if (fits) return name;
  throw object.error(member, "job-value", "has \"" + text + "\", which is no host name",
                     "Write the name alone: labels of letters, digits and '-' with dots between.");
}

CustomCloud custom_cloud(JsonObject object) {
  CustomCloud result;
  result.vault_suffix = host_name(object, "vaultSuffix", object.required_text("vaultSuffix"), ".");
  if (auto suffix = object.text("managedHsmSuffix")) {
    result.managed_hsm_suffix = host_name(object, "managedHsmSuffix", std::move(*suffix), ".");
  }
  for (auto& host : object.texts("signInHosts").value_or(std::vector<std::string>())) {
    result.sign_in_hosts.push_back(host_name(object, "signInHosts", std::move(host), "https://"));
  }
  for (const auto& [member, value] :
       {std::pair{"vaultResource", &result.vault_resource},
        std::pair{"managedHsmResource", &result.managed_hsm_resource}}) {
    if (auto text = object.text(member)) {
      *value = host_name(object, member, std::move(*text), "https://");
    }
  }
  if (result.sign_in_hosts.empty()) {
    throw object.error("signInHosts", "job-value", "names no host", "Name one host at least.");
  }
  object.finish();
  return result;
}

TestEndpoints test_endpoints(JsonObject object, const std::filesystem::path& directory) {
  TestEndpoints result;
  result.connect_to = object.texts("connectTo").value_or(std::vector<std::string>());
  result.ca_file = path_member(object, "caFile", directory);
  object.finish();
  return result;
}

// The key that the members name; nullopt: one of the local store.
std::optional<KeyReference> customer_key(JsonObject& object,
                                         const std::optional<std::string>& name) {
  KeyReference key;
  // An empty one is a form that nobody has filled in, and no wish for the local key.
  const auto named = [&](const char* member) {
    const auto text = object.text(member);
    if (text && text->empty()) {
      throw object.error(member, "job-value", "is empty",
                         "Fill it in, or leave it out for a key of the local key store.");
    }
    return text.value_or("");
  };
  key.key_url = named("keyUrl");
  key.vault_uri = named("vaultUri");
  key.key_version = object.text("keyVersion").value_or("");
  const auto conflict = [&](const std::string& member, const std::string& what) {
    throw object.error(member, "job-conflict", what,
                       "Name a vault's key by keyUrl, or by vaultUri with keyName and, if wanted, "
                       "keyVersion; a local key by keyName alone.");
  };
  if (!key.key_url.empty() && !key.vault_uri.empty()) conflict("keyUrl", "stands beside vaultUri");
  if (!key.key_url.empty() && name) conflict("keyName", "stands beside keyUrl, which has the name");
  if (!key.vault_uri.empty() && !name) conflict("keyName", "is missing beside vaultUri");
  if (!key.key_version.empty() && key.vault_uri.empty()) {
    conflict("keyVersion", "stands without vaultUri");
  }
  if (key.key_url.empty() && key.vault_uri.empty()) return std::nullopt;
  key.key_name = name.value_or("");
  return key;
}

void check_key_name(const JsonObject& object, const std::optional<std::string>& name) {
  if (!name) return;
  const bool fits = !name->empty() && name->size() <= 127 &&
                    std::all_of(name->begin(), name->end(),
                                [](char c) { return ascii::is_alphanumeric(c) || c == '-'; });
  if (fits) return;
  throw object.error("keyName", "job-value", "is \"" + *name + "\"",
                     "Use 1 to 127 letters, digits and '-'.");
}

keywrap::Profile profile(JsonObject& object) {
  std::array<Choice<keywrap::Profile>, keywrap::kProfiles.size()> choices;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    choices[i] = {keywrap::to_string(keywrap::kProfiles[i]), keywrap::kProfiles[i]};
  }
  return choose(object, "profile", choices, keywrap::Profile::kImportExport);
}

}  // namespace

bool is_user_assigned_id(std::string_view text) {
  constexpr std::array<std::string_view, 9> kForm = {"",
                                                     "subscriptions",
                                                     "*",
                                                     "resourcegroups",
                                                     "*",
                                                     "providers",
                                                     "microsoft.managedidentity",
                                                     "userassignedidentities",
                                                     "*"};
  const std::string lower = ascii::lower(text);
  std::string_view rest = lower;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const std::string_view part = rest.substr(0, rest.find('/'));
    if (kForm[i] == "*" ? part.empty() : part != kForm[i]) return false;
    const bool last = i + 1 == kForm.size();
    if (last != (part.size() == rest.size())) return false;
    if (!last) rest.remove_prefix(part.size() + 1);
  }
  return std::ranges::all_of(lower, [](char c) { return c > 0x20 && c < 0x7F; });
}

std::string_view to_string(Identity::Type type) {
  return kIdentityTypes[static_cast<std::size_t>(type)].first;
}

Encryption parse_encryption(JsonObject& job, const std::filesystem::path& directory) {
  Encryption result;
  auto object = job.object("encryption");
  if (!object) {
    result.key_store = default_key_store();
    return result;
  }
  const auto store = path_member(*object, "keyStore", directory);
  const auto name = object->text("keyName");
  result.customer_key = customer_key(*object, name);
  result.profile = profile(*object);
  result.vault_resource_id = object->text("vaultResourceId").value_or("");
  result.cloud =
      choose_text(*object, "cloud", {"public", "us-government", "china", "custom"}, result.cloud);
  if (auto hosts = object->object("customCloud")) result.custom_cloud = custom_cloud(*hosts);
  if ((result.cloud == "custom") != result.custom_cloud.has_value()) {
    throw object->error("customCloud", "job-conflict",
                        result.custom_cloud ? "stands beside another cloud" : "is missing",
                        "Name the hosts in customCloud exactly when cloud is custom.");
  }
  if (auto who = object->object("identity")) result.identity = identity(*who);
  if (auto how = object->object("credential")) result.credential = credential(*how, directory);
  result.allow_managed_hsm = object->boolean("allowManagedHsm").value_or(false);
  result.allow_region_mismatch = object->boolean("allowRegionMismatch").value_or(false);
  if (const auto seconds = object->number("retrySeconds")) {
    if (*seconds > kLongestRetry) {
      throw object->error("retrySeconds", "job-value", "is more than an hour", "Write 0 to 3600.");
    }
    result.retry_seconds = static_cast<unsigned>(*seconds);
  }
  if (auto test = object->object("testEndpoints")) {
    result.test_endpoints = test_endpoints(*test, directory);
  }
  object->finish();
  check_key_name(*object, name);
  if (name && !result.customer_key) result.key_name = *name;
  result.key_store = store.value_or(default_key_store());
  return result;
}

std::filesystem::path default_key_store() {
  if (const auto data = user_directory("XDG_DATA_HOME", ".local/share")) {
    return *data / "driveprep" / "keystore";
  }
  throw Error(ErrorKind::kUsage, "key-store-home",
              "this user has no home directory, so there is no place for the default key store",
              "Set encryption/keyStore in job.json.");
}

}  // namespace driveprep::job

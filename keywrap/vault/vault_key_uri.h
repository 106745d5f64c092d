// Identifiers of keys in Azure Key Vault and Managed HSM:
// https://{store}.{suffix}[:443]/keys/{name}[/{version}][/].
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "keywrap/cloud.h"
#include "keywrap/condition.h"

namespace driveprep::keywrap::vault {

struct VaultKeyUri {
  StoreKind kind = StoreKind::kVault;
  std::string host;     // "contoso.vault.azure.net", lower case
  std::string name;     // of the key, lower case: identifiers compare without case
  std::string version;  // 32 hex digits, lower case; empty: whatever is the newest

  bool has_version() const { return !version.empty(); }
  std::string vault_uri() const { return "https://" + host; }
  std::string to_string() const;  // without a slash at the end
  VaultKeyUri with_version(std::string_view new_version) const;

  friend bool operator==(const VaultKeyUri&, const VaultKeyUri&) = default;
};

// What is wrong with the text of an identifier.
struct UriFault {
  Condition condition;  // kSchemeNotHttps, kHostNotAllowed or kUriInvalid
  std::string why;      // "its host ... is no vault of the cloud public: it ends in neither ..."
};

// Either the identifier or what is wrong with it, found without any network. Not taken: user
// information, another port, query, fragment, percent-encoding, dot segments, secrets and
// certificates, a dot behind the host.
struct ParsedKeyUri {
  std::optional<VaultKeyUri> uri;
  std::optional<UriFault> fault;
};
ParsedKeyUri parse_vault_key_uri(std::string_view text, const Cloud& cloud);

// The same key given as three values; an empty version means the newest.
ParsedKeyUri parse_vault_key(std::string_view vault_uri, std::string_view name,
                             std::string_view version, const Cloud& cloud);

// Whether `host` is one label in front of `suffix`, by whole labels and without case. Nothing is in
// front of an empty suffix.
bool is_one_label_below(std::string_view host, std::string_view suffix);

}  // namespace driveprep::keywrap::vault

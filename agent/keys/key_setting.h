// Which key a job is to use, in one form however it was written.
#pragma once

#include <string>
#include <string_view>

#include "agent/job/encryption_spec.h"
#include "keywrap/cloud.h"

namespace driveprep::keys {

struct KeySetting {
  enum class Place {
    kLocal,  // the local key store: driveprep's own key
    kVault,  // Azure Key Vault or Managed HSM
    kToken,  // PKCS#11
  };
  Place place = Place::kLocal;
  // The identifier in its canonical form, with or without version; of a local key its name.
  std::string uri;
  bool pinned = false;     // the identifier names a version
  job::Identity identity;  // of the service; with kVault

  bool is_customers() const { return place != Place::kLocal; }
  friend bool operator==(const KeySetting&, const KeySetting&) = default;
};

// Whether the identifier is one of a key in a PKCS#11 token.
bool is_token_uri(std::string_view uri);

keywrap::Cloud cloud_of(const job::Encryption& encryption);

// What job.json says. Throws KeyError kUriInvalid, kSchemeNotHttps or kHostNotAllowed, without any
// network. Both ways to name a key of a vault give the same setting.
KeySetting setting_of(const job::Encryption& encryption);
// Another key than that of job.json, named by one URL.
KeySetting setting_of(const job::Encryption& encryption, const std::string& key_url);

// "system-assigned", or the resource id of a user-assigned one.
std::string text_of(const job::Identity& identity);

// The vault of an identifier, "contoso.vault.azure.net"; empty for keys elsewhere.
std::string vault_of(const KeySetting& setting);

// "the key default of the local key store", "the newest version of https://... as the identity
// ...", ... for people.
std::string text_of(const KeySetting& setting);

}  // namespace driveprep::keys

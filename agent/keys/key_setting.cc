#include "agent/keys/key_setting.h"

#include "base/ascii.h"
#include "base/error.h"
#include "keywrap/key_error.h"
#include "keywrap/key_policy.h"
#include "keywrap/pkcs11/pkcs11_uri.h"
#include "keywrap/shown_uri.h"
#include "keywrap/vault/vault_key_uri.h"

namespace driveprep::keys {
namespace {

using keywrap::Condition;
using keywrap::KeyError;
using keywrap::vault::ParsedKeyUri;

constexpr std::string_view kTokenScheme = "pkcs11:";

KeySetting vault_setting(const ParsedKeyUri& parsed, const std::string& text,
                         const job::Encryption& encryption) {
  if (!parsed.uri) {
    throw KeyError(parsed.fault->condition,
                   keywrap::shown_uri(text) + " cannot be used: " + parsed.fault->why, {}, {},
                   encryption.profile);
  }
  if (parsed.uri->kind == keywrap::StoreKind::kManagedHsm && !encryption.allow_managed_hsm &&
      !keywrap::takes_managed_hsm(encryption.profile)) {
    throw KeyError(
        Condition::kHostNotAllowed,
        text + " is a key of a Managed HSM, and the articles of " +
            std::string(keywrap::to_string(encryption.profile)) + " name Key Vault only",
        {},
        "Use a key of a Key Vault, or set encryption.allowManagedHsm to true in job.json "
        "if the service takes this one.",
        encryption.profile);
  }
  KeySetting setting;
  setting.place = KeySetting::Place::kVault;
  setting.uri = parsed.uri->to_string();
  setting.pinned = parsed.uri->has_version();
  setting.identity = encryption.identity;
  return setting;
}

// Module and PIN file stay in the identifier: without them nobody finds the token again.
KeySetting token_setting(const std::string& key_url) {
  const auto uri = keywrap::pkcs11::Pkcs11Uri::parse(key_url);
  if (!uri.object && !uri.id) {
    throw KeyError(Condition::kUriInvalid,
                   "\"" + keywrap::shown_uri(key_url) + "\" names a token, but no key in it", {},
                   "Name the key: pkcs11:token=...;object=...");
  }
  KeySetting setting;
  setting.place = KeySetting::Place::kToken;
  setting.uri = uri.to_string();
  setting.pinned = uri.id.has_value();
  return setting;
}

}  // namespace

bool is_token_uri(std::string_view uri) {
  return ascii::lower(uri.substr(0, kTokenScheme.size())) == kTokenScheme;
}

keywrap::Cloud cloud_of(const job::Encryption& encryption) {
  if (const auto& custom = encryption.custom_cloud) {
    return {"custom",
            custom->vault_suffix,
            custom->managed_hsm_suffix,
            custom->sign_in_hosts,
            custom->vault_resource,
            custom->managed_hsm_resource};
  }
  const auto known = keywrap::known_cloud(encryption.cloud);
  require(known.has_value(), "a cloud that job.json may name is not known");
  return *known;
}

KeySetting setting_of(const job::Encryption& encryption, const std::string& key_url) {
  if (is_token_uri(key_url)) return token_setting(key_url);
  return vault_setting(keywrap::vault::parse_vault_key_uri(key_url, cloud_of(encryption)),
                       "\"" + key_url + "\"", encryption);
}

KeySetting setting_of(const job::Encryption& encryption) {
  if (!encryption.customer_key) {
    KeySetting setting;
    setting.uri = encryption.key_name;
    return setting;
  }
  const job::KeyReference& key = *encryption.customer_key;
  if (!key.key_url.empty()) return setting_of(encryption, key.key_url);
  return vault_setting(keywrap::vault::parse_vault_key(key.vault_uri, key.key_name, key.key_version,
                                                       cloud_of(encryption)),
                       "the key " + key.key_name + " of \"" + key.vault_uri + "\"", encryption);
}

std::string text_of(const job::Identity& identity) {
  return identity.type == job::Identity::Type::kUserAssigned ? identity.user_assigned_id
                                                             : "system-assigned";
}

std::string vault_of(const KeySetting& setting) {
  if (setting.place != KeySetting::Place::kVault) return {};
  const std::size_t start = setting.uri.find("://") + 3;
  return setting.uri.substr(start, setting.uri.find('/', start) - start);
}

std::string text_of(const KeySetting& setting) {
  if (setting.place == KeySetting::Place::kLocal) {
    return "the key " + setting.uri + " of the local key store";
  }
  std::string text = (setting.pinned ? "" : "the newest version of ") + setting.uri;
  if (setting.identity.type == job::Identity::Type::kUserAssigned) {
    text += " as the identity " + setting.identity.user_assigned_id;
  }
  return text;
}

}  // namespace driveprep::keys

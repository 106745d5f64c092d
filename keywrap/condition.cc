#include "keywrap/condition.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace driveprep::keywrap {
namespace {

// What becomes of the key when the condition is there.
enum class Outlook {
  kPasses,    // may be gone at the next try
  kMendable,  // somebody's action brings the key back into use
  kLost,      // not without a backup of the key
  kFinal,
};

// By profile, in the order of kProfiles.
using Codes = std::array<std::string_view, kProfiles.size()>;

struct Facts {
  Condition condition;
  std::string_view name;
  std::string_view cause;
  Codes codes;
  Outlook outlook;
  std::string_view remedy;
};

using enum Condition;
using enum Outlook;

constexpr std::string_view kInvalidUrl = "SsemUserErrorInvalidKeyVaultUrl";
constexpr std::string_view kInvalidScheme = "SsemUserErrorKeyVaultUrlWithInvalidScheme";
constexpr std::string_view kInvalidHost = "SsemUserErrorKeyVaultUrlInvalidHost";
constexpr std::string_view kTypeNotSupported = "SsemUserErrorEncryptionKeyTypeNotSupported";
constexpr std::string_view kNoPurgeProtection =
    "SsemUserErrorSoftDeleteAndPurgeProtectionNotEnabled";
constexpr std::string_view kKeyLost = "SsemUserErrorKeyDetailsNotFound";
constexpr std::string_view kVaultLost = "SsemUserErrorKeyVaultDetailsNotFound";
constexpr std::string_view kBadRequest = "SsemUserErrorKeyVaultBadRequestException";
constexpr std::string_view kRevoked = "CmkErrorAccessRevoked";
// Spelt so in the article.
constexpr std::string_view kNoPermission = "UserErrorCMKMissingMangedIdentityPermissionOnKeyVault";
constexpr std::string_view kAuthFailure = "UserErrorCMKKeyVaultAuthFailure";
// No article has a code for it.
constexpr std::string_view kGeneral = "KwKeyVaultError";

// Of an older edition of the Import/Export article: read, never printed.
using OlderName = std::pair<std::string_view, std::string_view>;
constexpr std::array<OlderName, 2> kOlderNames = {
    {{"CmkErrorDisabled", "CmkErrorKeyDisabled"}, {"CmkErrorNotFound", "CmkErrorKeyNotFound"}}};

constexpr Codes everywhere(std::string_view code) { return {code, code, code, code}; }

constexpr std::array kConditions = {
    Facts{kUriInvalid, "UriInvalid", "The identifier is not that of a key in a vault.",
          everywhere(kInvalidUrl), kMendable,
          "Copy the identifier of the key from the vault: https://VAULT.vault.azure.net/keys/KEY, "
          "with or without its version."},
    Facts{kSchemeNotHttps, "SchemeNotHttps", "The identifier of the key does not begin with https.",
          everywhere(kInvalidScheme), kMendable,
          "Give the identifier with https; nothing is sent to a vault over http."},
    Facts{
        kHostNotAllowed, "HostNotAllowed",
        "The host in the identifier is no vault of the configured cloud.", everywhere(kInvalidHost),
        kMendable,
        "Name a vault of the configured cloud: one name in front of .vault.azure.net (public), "
        ".vault.usgovcloudapi.net (US Government) or .vault.azure.cn (China); encryption.cloud in "
        "job.json says which cloud is meant, customCloud its suffixes."},
    Facts{kKeyTypeUnsupported,
          "KeyTypeUnsupported",
          "The key is not an RSA key.",
          {kTypeNotSupported, kTypeNotSupported, kTypeNotSupported, kNoPermission},
          kMendable,
          "Use a key of the type RSA or RSA-HSM; keys on elliptic curves are not taken."},
    Facts{kKeySizeUnsupported,
          "KeySizeUnsupported",
          "The RSA key has a length that the service does not take.",
          {kTypeNotSupported, kTypeNotSupported, kTypeNotSupported, kGeneral},
          kMendable,
          "Use an RSA key of 2048, 3072 or 4096 bits."},
    Facts{kKeyMaterialExposed, "KeyMaterialExposed",
          "What came as the public description of the key has private parts in it.",
          everywhere("KwKeyMaterialExposed"), kMendable,
          "Do not use this key: what should be private was sent. Find out what answers for the "
          "vault."},
    Facts{
        kNotRecoverable, "NotRecoverable",
        "Soft delete and purge protection of the vault are not both on, or the vault does not "
        "say so.",
        everywhere(kNoPurgeProtection), kMendable,
        "Switch on soft delete and purge protection of the vault: in the portal under Properties, "
        "or az keyvault update --name VAULT --enable-purge-protection true. It cannot be switched "
        "off again."},
    Facts{kKeyDisabled,
          "KeyDisabled",
          "This version of the key is disabled.",
          {"CmkErrorKeyDisabled", "SsemUserErrorEncryptionKeyDisabled", "KwKeyDisabled", kGeneral},
          kMendable,
          "Enable this version of the key in the vault."},
    Facts{kKeyExpired,
          "KeyExpired",
          "This version of the key has expired: it unwraps, but no longer wraps.",
          {"SsemUserErrorEncryptionKeyExpired", "SsemUserErrorEncryptionKeyExpired", "KwKeyExpired",
           kGeneral},
          kMendable,
          "Extend the expiration date of the key, or make a new version and run driveprep key "
          "rewrap; what is wrapped already can still be opened."},
    Facts{kKeyNotYetActive, "KeyNotYetActive",
          "This version of the key is not active yet: it does not wrap.",
          everywhere("KwKeyNotYetActive"), kMendable,
          "Wait for the activation date of the key or change it; check the clock of this machine, "
          "too."},
    Facts{kKeyOperationMissing,
          "KeyOperationMissing",
          "The key may not be used for wrapKey and unwrapKey.",
          {"KwKeyOperationNotPermitted", "KwKeyOperationNotPermitted", "KwKeyOperationNotPermitted",
           kAuthFailure},
          kMendable,
          "Permit the operations wrapKey and unwrapKey for the key."},
    Facts{
        kKeyNotFound,
        "KeyNotFound",
        "The vault has no key of this name, or not this version of it.",
        {"CmkErrorKeyNotFound", kKeyLost, "KwKeyNotFound", kGeneral},
        kLost,
        "Check name and version. A key that was deleted a moment ago may show as deleted only in a "
        "minute: then it can be recovered. One that was purged can only be restored from a backup; "
        "without one what it wrapped is lost."},
    Facts{
        kKeySoftDeleted,
        "KeySoftDeleted",
        "The key was deleted, and is still kept for recovery.",
        {"CmkErrorKeyNotFound", kKeyLost, "KwKeyNotFound", kGeneral},
        kMendable,
        "Recover the deleted key before the vault purges it; after that what it wrapped is lost."},
    Facts{kVaultNotFound,
          "VaultNotFound",
          "There is no vault of this name: it was deleted, never existed, or was moved.",
          {"CmkErrorVaultNotFound", kVaultLost, "KwVaultNotFound", kGeneral},
          kMendable,
          "Check the name of the vault. A deleted vault can be recovered while it is kept. After a "
          "move to another tenant: undo the move, or set the identity to None and then to "
          "SystemAssigned and grant the permissions again."},
    Facts{
        kTenantMismatch,
        "TenantMismatch",
        "The vault belongs to another tenant than the one signed in to.",
        {"CmkErrorVaultNotFound", kVaultLost, "KwTenantMismatch", kAuthFailure},
        kMendable,
        "Sign in with an identity of the vault's tenant; if vault or subscription was moved, undo "
        "that, or set the identity to None and then to SystemAssigned and grant the permissions "
        "again."},
    Facts{kAccessDenied,
          "AccessDenied",
          "The identity may not read the key (get): access was never granted, or was taken away.",
          {kRevoked, kBadRequest, "KwAccessDenied", kNoPermission},
          kMendable,
          "Grant the identity get, wrapKey and unwrapKey for as long as the job lives: by access "
          "policy, by the role Key Vault Crypto Service Encryption User, or in a Managed HSM by "
          "Managed HSM Crypto Service Encryption User on the key."},
    Facts{
        kWrapDenied,
        "WrapDenied",
        "The identity may read the key, but not use it (wrapKey, unwrapKey).",
        {kRevoked, kBadRequest, "KwAccessDenied", kAuthFailure},
        kMendable,
        "Grant the identity wrapKey and unwrapKey besides get, by access policy or by the role Key "
        "Vault Crypto Service Encryption User."},
    Facts{kFirewallDenied,
          "FirewallDenied",
          "The vault's firewall does not let this machine in.",
          {kRevoked, kBadRequest, "KwFirewallDenied", kNoPermission},
          kMendable,
          "Permit the address of this machine in the firewall of the vault; a workstation is no "
          "trusted service. The service itself reaches a vault behind a firewall as a trusted "
          "service, and only with a system-assigned identity: switch to that one, then set the "
          "key."},
    Facts{kSystemIdentityAbsent,
          "SystemIdentityAbsent",
          "The machine or job has no system-assigned identity.",
          {kRevoked, "SsemUserErrorSystemAssignedIdentityAbsent", "KwSystemIdentityAbsent",
           kNoPermission},
          kMendable,
          "Switch the system-assigned identity on and grant it get, wrapKey and unwrapKey."},
    Facts{kUserIdentityAbsent,
          "UserIdentityAbsent",
          "The user-assigned identity was deleted, or is not attached here.",
          {kRevoked, "SsemUserErrorUserAssignedIdentityAbsent", "KwUserIdentityAbsent",
           kNoPermission},
          kMendable,
          "Attach the user-assigned identity again, or name another one."},
    Facts{kPrincipalNotFound,
          "PrincipalNotFound",
          "The identity is no longer in the directory of the tenant.",
          {kRevoked, "SsemUserErrorKekUserIdentityNotFound", "KwPrincipalNotFound", kNoPermission},
          kMendable,
          "Name an identity that is in the directory of the tenant."},
    Facts{kCrossTenantIdentity,
          "CrossTenantIdentity",
          "The user-assigned identity belongs to another tenant than the vault.",
          {"CmkErrorVaultNotFound", "SsemUserErrorCrossTenantIdentityAccessForbidden",
           "KwTenantMismatch", kAuthFailure},
          kMendable,
          "Use a user-assigned identity of the vault's tenant, or move the identity there."},
    Facts{kRegionMismatch, "RegionMismatch",
          "The vault is in another region than the storage account.",
          everywhere("KwVaultRegionMismatch"), kMendable,
          "Use a vault in the region of the storage account. If the service takes this one all the "
          "same, say so: driveprep key set --allow-region-mismatch, or allowRegionMismatch in "
          "job.json."},
    Facts{kRevertRefused, "RevertRefused",
          "The job has used a customer-managed key, and the service does not let it go back.",
          everywhere("KwCannotRevertToManagedKey"), kFinal,
          "Keep a customer-managed key; another one, or another version, may take its place."},
    Facts{kThrottled, "Throttled",
          "The vault or the sign-in host got too many requests, and kept saying so.",
          everywhere("KwThrottled"), kPasses, "Wait a moment, then run the same command again."},
    Facts{kUnavailable, "Unavailable",
          "The vault or the sign-in host could not be reached, or failed.",
          everywhere("KwUnavailable"), kPasses,
          "Check the network of this machine, then run the same command again."},
    Facts{kTimeout, "Timeout", "The vault or the sign-in host did not answer in time.",
          everywhere("KwTimeout"), kPasses,
          "Check the network of this machine, then run the same command again."},
    Facts{kTlsFailure, "TlsFailure",
          "No secure connection: the certificate of the host could not be verified, or TLS was "
          "refused.",
          everywhere("KwTlsFailure"), kPasses,
          "Find out who answers for the host; check the clock of this machine and its certificate "
          "authorities, and whether something between here and there breaks TLS."},
    Facts{
        kChallengeRejected, "ChallengeRejected",
        "The vault asked for a token that is not made for it, or asked in a form that is none.",
        everywhere("KwChallengeRejected"), kFinal,
        "Do not sign in: the vault asked for a token that is not its own. Find out who answers for "
        "it."},
    Facts{
        kAuthorityNotTrusted, "AuthorityNotTrusted",
        "The vault named a sign-in host that does not belong to the cloud.",
        everywhere("KwAuthorityNotTrusted"), kFinal,
        "Do not sign in: the vault named a sign-in host that the cloud does not have. Find out who "
        "answers for it."},
    Facts{kTokenRefused,
          "TokenRefused",
          "The vault refused a token that was fresh.",
          {"KwTokenRefused", "KwTokenRefused", "KwTokenRefused", kAuthFailure},
          kMendable,
          "Check that the identity belongs to the vault's tenant and may use the key; check the "
          "clock "
          "of this machine."},
    Facts{kCredentialInvalid, "CredentialInvalid",
          "The sign-in host refused the secret or certificate, or it cannot be read.",
          everywhere("KwCredentialInvalid"), kMendable,
          "Renew the secret or certificate of the credential in job.json."},
    Facts{kEnvelopeCorrupt, "EnvelopeCorrupt", "The envelope is no envelope, or damaged.",
          everywhere("envelope-corrupt"), kFinal,
          "Restore the envelope from a copy of the job directory."},
    Facts{kEnvelopeNotOpened, "EnvelopeNotOpened",
          "The envelope was altered, or was not made with this key.",
          everywhere("envelope-not-opened"), kFinal,
          "Restore the envelope from a copy of the job directory."},
    Facts{kEnvelopeKeyForeign, "EnvelopeKeyForeign",
          "The envelope is under a key of a store that this job does not name.",
          everywhere("envelope-key-foreign"), kMendable,
          "Name the key store that the job was prepared with."},
    Facts{kBindingMismatch, "BindingMismatch",
          "The envelope belongs to another job, drive or purpose.",
          everywhere("envelope-binding-mismatch"), kFinal,
          "Put the envelope of this job and drive back in its place."},
    Facts{kWrapFailed, "WrapFailed", "The key did not wrap, or does not give back what it wrapped.",
          everywhere("wrap-failed"), kMendable, "Use another key."},
    Facts{kIdentityLimit,
          "IdentityLimit",
          "The resource has more user-assigned identities than allowed.",
          {kGeneral, "SsemUserErrorUserAssignedLimitReached", kGeneral, kGeneral},
          kMendable,
          "Use or keep fewer user-assigned identities on the resource."},
    Facts{
        kUnexpected, "Unexpected", "The vault or the sign-in host answered something unexpected.",
        everywhere(kGeneral), kMendable,
        "Read what was answered, and run the same command again; if it stays so, ask whoever runs "
        "the host that answered, with the request id."},
};

const Facts& facts_of(Condition condition) {
  const auto found = std::ranges::find(kConditions, condition, &Facts::condition);
  require(found != kConditions.end(), "a condition without an entry in the table");
  return *found;
}

constexpr auto kOrder = [] {
  std::array<Condition, kConditions.size()> order{};
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = kConditions[i].condition;
  return order;
}();

}  // namespace

std::string_view to_string(Profile profile) {
  constexpr std::array<std::string_view, kProfiles.size()> kNames = {"import-export", "data-box",
                                                                     "storage", "backup-vault"};
  return kNames[static_cast<std::size_t>(profile)];
}

std::span<const Condition> all_conditions() { return kOrder; }
std::string_view to_string(Condition condition) { return facts_of(condition).name; }

std::string_view code_of(Condition condition, Profile profile) {
  return facts_of(condition).codes[static_cast<std::size_t>(profile)];
}

std::optional<Condition> condition_of(std::string_view code) {
  code = current_name(code);
  for (const Facts& facts : kConditions) {
    if (std::ranges::find(facts.codes, code) != facts.codes.end()) return facts.condition;
  }
  return std::nullopt;
}

std::string_view current_name(std::string_view code) {
  const auto older = std::ranges::find(kOlderNames, code, &OlderName::first);
  return older == kOlderNames.end() ? code : older->second;
}

std::string_view cause_of(Condition condition) { return facts_of(condition).cause; }
bool is_retryable(Condition condition) { return facts_of(condition).outlook == kPasses; }
bool is_recoverable(Condition condition) {
  const Outlook outlook = facts_of(condition).outlook;
  return outlook == kPasses || outlook == kMendable;
}
std::string_view remedy_of(Condition condition) { return facts_of(condition).remedy; }

}  // namespace driveprep::keywrap

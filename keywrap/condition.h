// What can be wrong with a customer-managed key, and how each service calls it.
//
// A condition is what driveprep has found. Its code is what the article of the service (the
// "profile") prints for it, letter by letter, the misspelling "Manged" included; where no article
// has one, the code is driveprep's own: it begins with "Kw", or is in lower case as elsewhere in
// driveprep. Key-wrapping reference, tables 2.2 to 2.5.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>

namespace driveprep::keywrap {

enum class Profile { kImportExport, kDataBox, kStorage, kBackupVault };
inline constexpr std::array kProfiles = {Profile::kImportExport, Profile::kDataBox,
                                         Profile::kStorage, Profile::kBackupVault};
// "import-export", "data-box", "storage", "backup-vault".
std::string_view to_string(Profile profile);

enum class Condition {
  kUriInvalid,
  kSchemeNotHttps,
  kHostNotAllowed,
  kKeyTypeUnsupported,
  kKeySizeUnsupported,
  kKeyMaterialExposed,  // a bundle that carries private members
  kNotRecoverable,      // soft delete or purge protection is off
  kKeyDisabled,
  kKeyExpired,
  kKeyNotYetActive,
  kKeyOperationMissing,
  kKeyNotFound,
  kKeySoftDeleted,
  kVaultNotFound,
  kTenantMismatch,
  kAccessDenied,  // get is denied
  kWrapDenied,    // get works, wrapKey or unwrapKey is denied
  kFirewallDenied,
  kSystemIdentityAbsent,
  kUserIdentityAbsent,
  kPrincipalNotFound,
  kCrossTenantIdentity,  // a user-assigned identity of another tenant
  kRegionMismatch,
  kRevertRefused,  // back from a customer-managed key to the default one
  kThrottled,
  kUnavailable,
  kTimeout,
  kTlsFailure,
  kChallengeRejected,
  kAuthorityNotTrusted,
  kTokenRefused,       // the vault refused a fresh token, without a reason that is known
  kCredentialInvalid,  // the sign-in secret or certificate is wrong or has expired
  kEnvelopeCorrupt,
  kEnvelopeNotOpened,   // not wrapped by this key, or altered
  kEnvelopeKeyForeign,  // under a key of a store that is not at hand
  kBindingMismatch,
  kWrapFailed,     // the secret is too long for the key, or does not come back
  kIdentityLimit,  // too many user-assigned identities; the control plane says so
  kUnexpected,     // anything else that a vault or sign-in host answers
};
std::span<const Condition> all_conditions();
// "UriInvalid", as the reference calls it.
std::string_view to_string(Condition condition);

std::string_view code_of(Condition condition, Profile profile);

// The condition behind a code that a service printed, the older names CmkErrorDisabled and
// CmkErrorNotFound included; of several conditions the first. nullopt for other texts.
std::optional<Condition> condition_of(std::string_view code);
// What an older name of a code is today; any other text is given back.
std::string_view current_name(std::string_view code);
// What has happened, one sentence.
std::string_view cause_of(Condition condition);

// Whether the same request may succeed later without anybody doing anything.
bool is_retryable(Condition condition);
// Whether somebody's action can bring the key back into use.
bool is_recoverable(Condition condition);
// What the operator should do, one or two imperative sentences.
std::string_view remedy_of(Condition condition);

}  // namespace driveprep::keywrap

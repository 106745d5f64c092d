// Is this key fit to protect a job? The rules of each service for customer-managed keys
// (key-wrapping reference, R1 to R20) over what a key store tells. A function of facts: nothing is
// asked or written.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "keywrap/condition.h"
#include "keywrap/key_store.h"

namespace driveprep::keywrap {

struct Finding {
  enum class Severity { kError, kWarning };
  Severity severity = Severity::kError;
  std::optional<Condition> condition;  // of an error always; a warning may be about none
  std::string message;                 // one sentence with the values found
  std::string remedy = {};             // of a warning always; empty: that of the condition
};

// Which rules hold.
struct PolicyContext {
  Profile profile = Profile::kImportExport;
  UnixSeconds now = 0;
  // The region of the storage account, in any spelling ("West Europe", "westeurope"); empty:
  // unknown.
  std::string storage_region;
  bool region_may_differ = false;  // the customer has said so, and it is recorded
  // A token or the local key store: regions and the deletion of vaults mean nothing there.
  bool in_vault = true;
};

// In the order in which the reference diagnoses: type, size, operations, recovery level, enabled,
// not before, expiry, region. Errors and warnings, all of them; the first error names the result.
std::vector<Finding> judge_key(const KeyVersion& key, const PolicyContext& context);

// "West Europe" -> "westeurope".
std::string normal_region(std::string_view region);

// Whether jobs of the service that have used a customer-managed key may go back to the default one.
bool may_revert(Profile profile);
// Whether the service names Managed HSM as a place for keys.
bool takes_managed_hsm(Profile profile);

}  // namespace driveprep::keywrap

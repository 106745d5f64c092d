// Is the key of a job fit for it? The whole diagnosis, in the order of the key-wrapping reference
// (2.6): identifier, host, certificate, challenge, token, description, rules, trial.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "agent/keys/job_keys.h"
#include "keywrap/key_error.h"
#include "keywrap/key_policy.h"

namespace driveprep::keys {

struct CheckFinding {
  keywrap::Finding finding;
  keywrap::KeyEvidence evidence;
  std::string remedy;
};

bool is_error(const CheckFinding& found);

struct KeyCheck {
  std::string key;                             // the identifier as configured
  std::optional<keywrap::KeyVersion> version;  // as far as it could be asked for
  bool made_on_first_use = false;              // a local key that is not there yet
  bool wrapped = false;                        // the trial
  bool unwrapped = false;
  std::vector<CheckFinding> findings;  // errors and warnings, in the order in which they were found

  // The first error; nullptr when the key is fit.
  const CheckFinding* error() const;
  // What the warnings say.
  std::vector<std::string> warnings() const;
};

struct CheckOptions {
  keywrap::Profile profile = keywrap::Profile::kImportExport;
  // For so long a refusal of access is asked again: a grant takes a while to get around.
  std::chrono::seconds wait_for_access{0};
};

// Nothing is written, here or in the vault: random bytes are wrapped and unwrapped and forgotten.
// Never throws for what is wrong with the key; other errors pass.
// Vaults are asked as the identity of the setting from now on.
KeyCheck check_key(JobKeys& keys, const KeySetting& setting, const CheckOptions& options);

// The key that the job uses. Where it follows the newest version and uses an older one until the
// next look, that one decides, and what is wrong with the newer one is a warning.
KeyCheck check_key_in_use(JobKeys& keys, const CheckOptions& options);

// As an error: the first one of the check, in the words of the service.
[[noreturn]] void throw_unfit(const KeyCheck& check, keywrap::Profile profile);

}  // namespace driveprep::keys

// An error about a key, with what its store or sign-in host told: condition and evidence.
#pragma once

#include <string>

#include "base/error.h"
#include "keywrap/condition.h"

namespace driveprep::keywrap {

// What came over the wire; empty where nothing did.
struct KeyEvidence {
  int http_status = 0;
  std::string vault_code = {};        // error.code
  std::string vault_inner_code = {};  // the innermost error.innererror.code
  std::string request_id = {};        // x-ms-request-id
  std::string kid = {};
};

// Of kind kKey. Its code is that of the condition in the profile, its remedy that of the condition
// unless another is given.
class KeyError : public Error {
 public:
  KeyError(Condition condition, std::string message, KeyEvidence evidence = {},
           std::string remedy = {}, Profile profile = Profile::kImportExport);

  Condition condition() const { return condition_; }
  const KeyEvidence& evidence() const { return evidence_; }
  Profile profile() const { return profile_; }

  // The same error, named as another service names it.
  KeyError in(Profile profile) const;
  // The same error; what its evidence lacks is taken from `more`.
  KeyError with(const KeyEvidence& more) const;

 private:
  Condition condition_;
  KeyEvidence evidence_;
  Profile profile_;
};

// Does `work`; its KeyErrors are named as `profile` names them.
template <typename Work>
auto in_words_of(Profile profile, Work work) {
  try {
    return work();
  } catch (const KeyError& error) {
    if (error.profile() == profile) throw;
    throw error.in(profile);
  }
}

}  // namespace driveprep::keywrap

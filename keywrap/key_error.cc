#include "keywrap/key_error.h"

namespace driveprep::keywrap {

KeyError::KeyError(Condition condition, std::string message, KeyEvidence evidence,
                   std::string remedy, Profile profile)
    : Error(ErrorKind::kKey, std::string(code_of(condition, profile)), std::move(message),
            remedy.empty() ? std::string(remedy_of(condition)) : std::move(remedy)),
      condition_(condition),
      evidence_(std::move(evidence)),
      profile_(profile) {}

KeyError KeyError::in(Profile profile) const {
  return KeyError(condition_, what(), evidence_, remedy(), profile);
}

}  // namespace driveprep::keywrap

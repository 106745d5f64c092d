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

KeyError KeyError::with(const KeyEvidence& more) const {
  KeyEvidence evidence = evidence_;
  if (evidence.http_status == 0) evidence.http_status = more.http_status;
  for (const auto member : {&KeyEvidence::vault_code, &KeyEvidence::vault_inner_code,
                            &KeyEvidence::request_id, &KeyEvidence::kid}) {
    if ((evidence.*member).empty()) evidence.*member = more.*member;
  }
  return KeyError(condition_, what(), std::move(evidence), remedy(), profile_);
}

}  // namespace driveprep::keywrap

// What the tests of token sources share: the condition of an error, and headers as vaults send
// them.
#pragma once

#include <string>

#include "keywrap/cloud.h"
#include "keywrap/key_error.h"

namespace driveprep::test {

inline const std::string kTenant = "11111111-2222-3333-4444-555555555555";

inline keywrap::Cloud public_cloud() { return keywrap::known_cloud("public").value(); }

// What the condition is called, and the message for those who want to look into it; "" for none.
struct Failure {
  std::string condition;
  std::string message;
  std::string remedy;
  keywrap::KeyEvidence evidence;
};
template <typename Action>
Failure failure_of(Action action) {
  try {
    action();
  } catch (const keywrap::KeyError& error) {
    return {std::string(to_string(error.condition())), error.what(), error.remedy(),
            error.evidence()};
  }
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace driveprep::test

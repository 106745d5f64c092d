// What a vault says when it refuses: {"error": {"code", "message", "innererror": {"code", ...}}}
// (key-wrapping reference, section 3.4), and which condition that is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "keywrap/condition.h"

namespace driveprep::keywrap::vault {

struct ErrorBody {
  std::string code;                      // of the error; empty when none was told
  std::string message;                   // printable, at most 300 characters
  std::vector<std::string> inner_codes;  // outermost first

  bool has_inner(std::string_view inner) const;
};

// Never fails: an empty, odd or oversized body (HTML of a proxy, "error": null) is one that tells
// nothing. Both spellings, innererror and innerError, are read, at any depth.
ErrorBody parse_error_body(std::string_view body);

enum class Operation { kGet, kWrap, kUnwrap };
std::string_view to_string(Operation operation);  // "get", "wrapKey", "unwrapKey"

// `status` is not 2xx. A code of a service that stands in the body itself is passed through.
Condition condition_of_answer(int status, const ErrorBody& body, Operation operation);

}  // namespace driveprep::keywrap::vault

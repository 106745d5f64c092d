// How content keys are wrapped: RSAES-OAEP (RFC 7518, section 4.3).
#pragma once

#include <optional>
#include <string_view>

namespace driveprep::keywrap {

enum class WrapAlgorithm {
  kRsaOaep256,  // SHA-256 for the hash and MGF1: all that wraps
  kRsaOaep,     // SHA-1 for both: only to unwrap what other tools wrapped, and when asked for
};

// The names of JOSE and of vaults: "RSA-OAEP-256", "RSA-OAEP".
std::string_view to_string(WrapAlgorithm algorithm);
std::optional<WrapAlgorithm> wrap_algorithm_from(std::string_view name);

}  // namespace driveprep::keywrap

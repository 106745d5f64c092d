#include "keywrap/wrap_algorithm.h"

namespace driveprep::keywrap {

std::string_view to_string(WrapAlgorithm algorithm) {
  return algorithm == WrapAlgorithm::kRsaOaep ? "RSA-OAEP" : "RSA-OAEP-256";
}

std::optional<WrapAlgorithm> wrap_algorithm_from(std::string_view name) {
  for (const WrapAlgorithm known : {WrapAlgorithm::kRsaOaep256, WrapAlgorithm::kRsaOaep}) {
    if (name == to_string(known)) return known;
  }
  return std::nullopt;
}

}  // namespace driveprep::keywrap

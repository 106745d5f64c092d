// The public half of a key that signs records: Ed25519 (RFC 8032), as a JWK (RFC 8037) and as PEM.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace driveprep::record {

using Signature = std::array<std::byte, 64>;

class PublicKey {
 public:
  static constexpr std::size_t kBytes = 32;

  explicit PublicKey(const std::array<std::byte, kBytes>& bytes) : bytes_(bytes) {}

  // {"kty": "OKP", "crv": "Ed25519", "x": ...} and nothing else; throws FormatError.
  static PublicKey from_jwk(const nlohmann::json& jwk);
  // The text of a key file: PEM ("BEGIN PUBLIC KEY"), or a JWK, which may say more about the key
  // but must not hold its private half. `name` is for the message; kUsage "record-key-file".
  static PublicKey from_file_text(std::string_view text, const std::string& name);

  nlohmann::ordered_json jwk() const;
  // SubjectPublicKeyInfo, with a line feed at the end.
  std::string pem() const;
  // The thumbprint of the JWK (RFC 7638) with SHA-256, in base64url: the name of the key.
  std::string kid() const;

  bool verifies(ByteView message, const Signature& signature) const;

  friend bool operator==(const PublicKey&, const PublicKey&) = default;

 private:
  std::array<std::byte, kBytes> bytes_;
};

}  // namespace driveprep::record

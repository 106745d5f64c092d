// The 48-digit recovery password: eight groups of six digits, each 11 times a 16-bit number.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/secret_bytes.h"

namespace driveprep::bitlocker {

class RecoveryPassword {
 public:
  static constexpr std::size_t kGroups = 8;
  static constexpr std::size_t kTextSize = 55;  // "123456-...-123456"
  static constexpr std::size_t kKeySize = 16;

  // Fresh, from the system's generator for private values.
  static RecoveryPassword random();
  // With or without dashes and white space, also at the ends. Throws an Error (kKey,
  // "bad-recovery-password") that says which group is wrong and why, never what it holds.
  static RecoveryPassword parse(std::string_view text);
  // From the 16-byte key, as it is kept in the metadata of a volume.
  static RecoveryPassword from_key(ByteView key);

  // Canonical text, 55 characters with dashes. Valid as long as this object; never store the view.
  std::string_view text() const { return text_.text(); }
  // The eight 16-bit numbers, little-endian.
  const SecretBytes& key() const { return key_; }

  RecoveryPassword clone() const { return from_key(key_.span()); }

 private:
  RecoveryPassword(SecretBytes text, SecretBytes key);

  SecretBytes text_;
  SecretBytes key_;
};

}  // namespace driveprep::bitlocker

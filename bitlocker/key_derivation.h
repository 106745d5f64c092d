// From what a person holds to the 256-bit key that wraps the volume master key.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/secret_bytes.h"
#include "bitlocker/recovery_password.h"

namespace driveprep::bitlocker {

inline constexpr std::size_t kSaltSize = 16;
inline constexpr std::uint64_t kStretchRounds = 0x100000;

// SHA-256 twice over the password as UTF-16LE without terminator. `utf8`: throws an Error (kKey,
// "bitlocker-password-text") when it is not well-formed UTF-8. No normalisation is applied.
SecretBytes password_hash(const SecretBytes& utf8);
// UTF-16 code units of a password; throws as above.
std::size_t password_length(const SecretBytes& utf8);

// SHA-256 once over the 16-byte key.
SecretBytes recovery_password_hash(const RecoveryPassword& password);

// `rounds` times SHA-256 over (last result, hash, salt, counter): 0.2 s on one core by intent.
SecretBytes stretch(const SecretBytes& hash, ByteView salt, std::uint64_t rounds = kStretchRounds);

}  // namespace driveprep::bitlocker

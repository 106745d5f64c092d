// A256GCM of RFC 7518, section 5.3: AES-256 in GCM with a nonce of 96 and a tag of 128 bits.
#pragma once

#include <array>
#include <optional>

#include "base/bytes.h"
#include "base/secret_bytes.h"

namespace driveprep::keywrap {

inline constexpr std::size_t kContentKeyBytes = 32;
using GcmNonce = std::array<std::byte, 12>;
using GcmTag = std::array<std::byte, 16>;

struct Sealed {
  Bytes ciphertext;
  GcmTag tag;
};

// A key must never see one nonce twice: make a fresh key for each text.
Sealed gcm_seal(const SecretBytes& key, const GcmNonce& nonce, ByteView authenticated,
                const SecretBytes& plaintext);
// nullopt when the tag does not verify, whatever the reason; no plaintext leaves before that.
std::optional<SecretBytes> gcm_open(const SecretBytes& key, const GcmNonce& nonce,
                                    ByteView authenticated, const Sealed& sealed);

}  // namespace driveprep::keywrap

// Text forms of bytes: hexadecimal (Base16), base64 and base64url.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/secret_bytes.h"

namespace driveprep {

std::string hex_lower(ByteView bytes);
std::string hex_upper(ByteView bytes);
// Either case; nullopt for odd length or another character.
std::optional<Bytes> from_hex(std::string_view text);
// Fills `out`; false when the text is not that many bytes.
bool from_hex(std::string_view text, MutableByteView out);

std::string base64(ByteView bytes);
std::optional<Bytes> from_base64(std::string_view text);

// RFC 4648 section 5 without padding, as JOSE wants it; the decoder refuses padding, white space
// and non-canonical trailing bits.
std::string base64url(ByteView bytes);
std::optional<Bytes> from_base64url(std::string_view text);
// The same for secrets, from and into locked memory.
SecretBytes secret_base64url(ByteView bytes);
std::optional<SecretBytes> secret_from_base64url(std::string_view text);

}  // namespace driveprep

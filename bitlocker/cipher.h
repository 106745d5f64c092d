// The encryption methods of BitLocker volumes, as numbered on disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/units.h"

namespace driveprep::bitlocker {

enum class Cipher : std::uint16_t {
  kAesCbc128Elephant = 0x8000,  // Windows Vista and 7: read only here
  kAesCbc256Elephant = 0x8001,  // likewise
  kAesCbc128 = 0x8002,
  kAesCbc256 = 0x8003,
  kXtsAes128 = 0x8004,
  kXtsAes256 = 0x8005,
};

// "xts-aes-256", "aes-cbc-128", "aes-cbc-128-elephant", ...
std::string_view to_string(Cipher cipher);

// The four ciphers that new volumes may have; nullopt for any other name.
std::optional<Cipher> cipher_from_name(std::string_view name);

// nullopt for a method this program does not know.
std::optional<Cipher> cipher_from_method(std::uint16_t method);

bool is_xts(Cipher cipher);
bool has_elephant_diffuser(Cipher cipher);

// Bytes of the full-volume encryption key as stored: both halves of XTS (32, 64), the AES key of
// CBC (16, 32), the AES key and the sector key of Elephant in their 64 bytes.
std::size_t fvek_size(Cipher cipher);

}  // namespace driveprep::bitlocker

// What an envelope protects: one secret with its purpose, as the JSON text that is encrypted.
#pragma once

#include <optional>
#include <string_view>

#include "base/file_time.h"
#include "base/guid.h"
#include "base/secret_bytes.h"

namespace driveprep::keywrap {

enum class Purpose {
  kRecoveryPassword,  // "bitlocker-recovery-password"
  kVolumeKey,         // "bitlocker-volume-key"
  kVolumeMetadata,    // "bitlocker-volume-metadata"
  kDeviceUnlockKey,   // "databox-device-unlock-key"
  kSecret,            // "secret": any short secret of the customer's
};
std::string_view to_string(Purpose purpose);
std::optional<Purpose> purpose_from(std::string_view text);
// The purposes of a secret that the customer hands over; the others are driveprep's own.
bool is_customers_secret(Purpose purpose);
// Characters of the longest value, as it stands in the payload.
std::size_t longest_value(Purpose purpose);
// Bytes of the longest secret of the customer's.
inline constexpr std::size_t kLongestSecret = 16 * 1024;

// `value` is text: the recovery password with its hyphens; the volume key or the backup of its
// metadata in base64url; the unlock key of a device, valid UTF-8 without control characters. Another
// secret of the customer's is any bytes. In the payload it stands as it is when it is text, so that
// any opener can read it, else in base64url with the member "encoding":"base64url" beside it.
struct Payload {
  SecretBytes value;
  // Of the BitLocker protector that the secret opens; for metadata of the volume. Customers'
  // secrets have none.
  Guid protector_id;
  FileTime created;  // whole seconds are kept
};

// "envelope-value-invalid" when the value breaks the rules of its purpose. A recovery password: 8
// groups of 6 digits, each divisible by 11 with a quotient of at most 65535.
void check_value(const SecretBytes& value, Purpose purpose);
// Valid UTF-8 without other control characters than tabs and line ends.
bool is_text(const SecretBytes& value);
SecretBytes payload_json(const Payload& payload, Purpose purpose);
// nullopt for what breaks these rules.
std::optional<Payload> parse_payload(const SecretBytes& text, Purpose purpose);

}  // namespace driveprep::keywrap

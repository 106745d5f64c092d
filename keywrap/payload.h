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
// Characters of the longest value.
std::size_t longest_value(Purpose purpose);

// `value` is text: the recovery password with its hyphens; the volume key or the backup of its
// metadata in base64url; or a customer's secret, any valid UTF-8 without control characters.
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
SecretBytes payload_json(const Payload& payload, Purpose purpose);
// nullopt for anything that payload_json() does not write.
std::optional<Payload> parse_payload(const SecretBytes& text, Purpose purpose);

}  // namespace driveprep::keywrap

// What the bodies that create a job are made from: values of the job file and of finished drives.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/secret_bytes.h"

namespace driveprep::request {

// Where the drives go back to, and whom to ask. `street_2`, `street_3`, `state_or_province` and
// `company_name` may be empty, everything else is required by one service or the other.
struct ReturnAddress {
  std::string recipient_name;
  std::string company_name;
  std::string street_1;
  std::string street_2;
  std::string street_3;  // Data Box only; the classic service has no third line
  std::string city;
  std::string state_or_province;
  std::string postal_code;
  std::string country_or_region;  // "US": the two-letter code serves both services
  std::string phone;
  std::string email;
  bool residential = false;  // Data Box: addressType Residential instead of Commercial
};

// Who is told about the job (Data Box only).
struct Contact {
  std::string name;
  std::string phone;
  std::vector<std::string> emails;
};

// The carrier account that pays for the way back.
struct ReturnShipping {
  std::string carrier_name;
  std::string carrier_account_number;
};

enum class KekType { kMicrosoftManaged, kCustomerManaged };

// The key that protects the recovery passwords inside the service. Members other than `type` belong
// to kCustomerManaged only.
struct EncryptionKey {
  KekType type = KekType::kMicrosoftManaged;
  std::string kek_url;                 // https://<vault>.<suffix>/keys/<name>[/<version>]
  std::string kek_vault_resource_id;   // ARM id of the vault
  std::string user_assigned_identity;  // ARM id; empty: the job's system-assigned identity
};

enum class LogLevel { kError, kVerbose };

struct JobParameters {
  std::string name;      // of the job; part of the URL, not of the body
  std::string location;  // "westus", "West US"
  std::map<std::string, std::string> tags;
  std::string storage_account_id;  // ARM id of the target account
  ReturnAddress return_address;
  std::optional<Contact> contact;  // absent: the recipient of the return address
  std::optional<ReturnShipping> return_shipping;
  std::string diagnostics_path = "waimportexport";  // classic only
  LogLevel log_level = LogLevel::kError;
  bool backup_drive_manifest = false;
  EncryptionKey encryption_key;
};

struct DriveEntry {
  std::string drive_id;  // the serial, no spaces
  std::string manifest_file = "\\DriveManifest.xml";
  std::string manifest_hash;  // MD5, 32 hex digits, upper case
  // Not owned; null leaves the password out of the body.
  const SecretBytes* recovery_password = nullptr;
};

}  // namespace driveprep::request

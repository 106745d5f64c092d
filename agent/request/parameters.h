// What the bodies that create a job are made from: values of the job file and of finished drives.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "agent/job/shipping.h"
#include "base/secret_bytes.h"

namespace driveprep::request {

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
  job::ReturnAddress return_address;
  job::Contact contact;  // Data Box only
  std::optional<job::ReturnShipping> return_shipping;
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

// What the services refuse, found before anything is sent: required members and forms are those of
// the published request schemas, the ten drives are from the service's requirements.
#include "agent/request/checks.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/request/bodies.h"
#include "base/ascii.h"
#include "base/encoding.h"
#include "base/error.h"
#include "base/guid.h"
#include "keywrap/recovery_password.h"

namespace driveprep::request {
namespace {

using ascii::lower;

constexpr std::size_t kMaxDrives = 10;

void require_field(const std::string& value, const char* pointer) {
  if (value.find_first_not_of(" \t") != std::string::npos) return;
  throw Error(ErrorKind::kUsage, "request-field-missing",
              std::string("job.json: ") + pointer + " is empty, and the service requires it",
              std::string("Fill in ") + pointer + " in job.json.");
}

[[noreturn]] void invalid_field(const char* pointer, const std::string& why, std::string remedy) {
  throw Error(ErrorKind::kUsage, "request-field-invalid",
              std::string("job.json: ") + pointer + " " + why, std::move(remedy));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t end; (end = text.find(separator)) != std::string_view::npos;) {
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

// /subscriptions/<guid>/resourceGroups/<group>/providers/<provider>/<type>/<name>, told apart
// without case. `kinds` are "provider/type" in lower case.
bool is_arm_id(std::string_view text, const std::set<std::string>& kinds) {
  const auto parts = split(text, '/');
  const bool shape = parts.size() == 9 && parts[0].empty() && lower(parts[1]) == "subscriptions" &&
                     parts[2].size() == 36 && Guid::parse(parts[2]) &&
                     lower(parts[3]) == "resourcegroups" && lower(parts[5]) == "providers";
  return shape && !parts[4].empty() && !parts[8].empty() &&
         text.find_first_of(" \t?#%\\") == std::string_view::npos &&
         kinds.contains(lower(parts[6]) + "/" + lower(parts[7]));
}

void check_arm_id(const std::string& id, const char* pointer, const std::set<std::string>& kinds,
                  const std::string& example) {
  require_field(id, pointer);
  if (is_arm_id(id, kinds)) return;
  invalid_field(pointer, "is not the resource id it should be: '" + id + "'",
                "Give /subscriptions/<guid>/resourceGroups/<group>/providers/" + example +
                    "/<name>, as the portal shows it under Properties.");
}

// https://<host>/keys/<name>[/<version>]; which hosts are vaults is for the key rules to say.
bool is_key_url(std::string_view url) {
  constexpr std::string_view kScheme = "https://";
  if (lower(url.substr(0, kScheme.size())) != kScheme) return false;
  auto parts = split(url.substr(kScheme.size()), '/');
  if (parts.size() > 3 && parts.back().empty()) parts.pop_back();
  if (parts.size() != 3 && parts.size() != 4) return false;
  const auto plain = [](std::string_view part, std::string_view more) {
    return !part.empty() && std::all_of(part.begin(), part.end(), [&](char c) {
      return ascii::is_alphanumeric(c) || more.find(c) != std::string_view::npos;
    });
  };
  return plain(parts[0], "-.") && parts[0].find('.') != std::string_view::npos &&
         lower(parts[1]) == "keys" && plain(parts[2], "-") &&
         (parts.size() == 3 || (from_hex(parts[3]) && parts[3].size() == 32));
}

void check_encryption_key(const EncryptionKey& key) {
  if (key.type == KekType::kMicrosoftManaged) {
    require(key.kek_url.empty() && key.kek_vault_resource_id.empty() &&
                key.user_assigned_identity.empty(),
            "a Microsoft-managed key has no URL, vault or identity");
    return;
  }
  require_field(key.kek_url, "/encryption/keyUrl");
  if (!is_key_url(key.kek_url)) {
    invalid_field("/encryption/keyUrl", "is not the URL of a key: '" + key.kek_url + "'",
                  "Give https://<vault>.vault.azure.net/keys/<name>, with or without /<version>.");
  }
  check_arm_id(key.kek_vault_resource_id, "/encryption/vaultResourceId",
               {"microsoft.keyvault/vaults", "microsoft.keyvault/managedhsms"},
               "Microsoft.KeyVault/vaults");
  if (key.user_assigned_identity.empty()) return;
  check_arm_id(key.user_assigned_identity, "/encryption/identity/userAssignedIdentityId",
               {"microsoft.managedidentity/userassignedidentities"},
               "Microsoft.ManagedIdentity/userAssignedIdentities");
}

void check_common(const JobParameters& job) {
  require_field(job.location, "/location");
  check_arm_id(job.storage_account_id, "/storageAccountId",
               {"microsoft.storage/storageaccounts", "microsoft.classicstorage/storageaccounts"},
               "Microsoft.Storage/storageAccounts");
  const job::ReturnAddress& address = job.return_address;
  require_field(address.recipient_name, "/returnAddress/recipientName");
  require_field(address.street_address1, "/returnAddress/streetAddress1");
  require_field(address.city, "/returnAddress/city");
  require_field(address.postal_code, "/returnAddress/postalCode");
  require_field(address.country_or_region, "/returnAddress/countryOrRegion");
  require_field(address.phone, "/returnAddress/phone");
  require_field(address.email, "/returnAddress/email");
  if (job.return_shipping) {
    require_field(job.return_shipping->carrier_name, "/returnShipping/carrierName");
    require_field(job.return_shipping->carrier_account_number,
                  "/returnShipping/carrierAccountNumber");
  }
  check_encryption_key(job.encryption_key);
}

[[noreturn]] void invalid_drive(const DriveEntry& drive, const std::string& why) {
  throw Error(ErrorKind::kUsage, "request-drive-invalid",
              "drive '" + drive.drive_id + "' cannot be part of a job: " + why,
              "Prepare and verify this drive again.");
}

}  // namespace

void check_databox_parameters(const JobParameters& job) {
  require_field(job.name, "/name");
  const bool plain = std::all_of(job.name.begin(), job.name.end(), [](char c) {
    return ascii::is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
  });
  if (!plain || job.name.size() < 3 || job.name.size() > 24) {
    invalid_field("/name", "cannot name a Data Box order: '" + job.name + "'",
                  "Use 3 to 24 letters, digits, '-', '_' and '.'.");
  }
  check_common(job);
  require_field(job.contact.name, "/contact/name");
  require_field(job.contact.phone, "/contact/phone");
  if (job.contact.emails.empty()) require_field("", "/contact/emails");
  for (const std::string& email : job.contact.emails) require_field(email, "/contact/emails");
}

void check_import_export_parameters(const JobParameters& job) {
  // The classic service publishes no rule for names; this is what a segment of the URL can hold.
  require_field(job.name, "/name");
  if (job.name.find_first_of("/\\?#%&<>: ") != std::string::npos) {
    invalid_field("/name", "cannot be part of the job's URL: '" + job.name + "'",
                  "Use letters, digits, '-', '_' and '.'.");
  }
  check_common(job);
}

void check_drives(const std::vector<DriveEntry>& drives) {
  if (drives.empty()) {
    throw Error(ErrorKind::kUsage, "request-no-drives", "the job has no drive",
                "Prepare at least one drive, then ask for the request again.");
  }
  if (drives.size() > kMaxDrives) {
    throw Error(ErrorKind::kUsage, "request-too-many-drives",
                "the job has " + std::to_string(drives.size()) + " drives, and the service takes " +
                    std::to_string(kMaxDrives) + " in one job",
                "Divide the drives over several jobs.");
  }
  std::set<std::string> ids;
  for (const DriveEntry& drive : drives) {
    const std::string& id = drive.drive_id;
    const bool printable =
        std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 0x7F; });
    if (id.empty() || !printable) invalid_drive(drive, "its id is not a serial without spaces");
    if (!ids.insert(id).second) invalid_drive(drive, "its id comes twice");
    const bool named = drive.manifest_file.size() > 1 && drive.manifest_file.front() == '\\' &&
                       drive.manifest_file.find_first_of("\\/", 1) == std::string::npos;
    if (!named) invalid_drive(drive, "its manifest is not a file in the root of the volume");
    const auto hash = from_hex(drive.manifest_hash);
    if (!hash || hash->size() != 16 || hex_upper(*hash) != drive.manifest_hash) {
      invalid_drive(drive, "its manifest hash is not an MD5 of 32 upper-case hex digits");
    }
    if ((drive.recovery_password == nullptr) != (drives.front().recovery_password == nullptr)) {
      invalid_drive(drive, "some drives have a recovery password and some have none");
    }
    if (drive.recovery_password != nullptr &&
        !keywrap::is_recovery_password(drive.recovery_password->text())) {
      invalid_drive(drive, "its recovery password is not 8 groups of 6 digits that fit");
    }
  }
}

}  // namespace driveprep::request

#include "agent/request/bodies.h"

#include "agent/request/checks.h"
#include "keywrap/secret_json.h"

namespace driveprep::request {
namespace {

using Writer = keywrap::SecretJsonWriter;

constexpr unsigned kIndent = 2;

void member_unless_empty(Writer& body, std::string_view name, const std::string& text) {
  if (!text.empty()) body.member(name, text);
}

void write_tags(Writer& body, const JobParameters& job) {
  if (job.tags.empty()) return;
  body.key("tags").begin_object();
  for (const auto& [name, value] : job.tags) body.member(name, value);
  body.end_object();
}

std::string_view text_of(LogLevel level) {
  return level == LogLevel::kVerbose ? "Verbose" : "Error";
}

// The members of `encryptionKey` and `keyEncryptionKey` that both services have.
void write_kek(Writer& body, const EncryptionKey& key) {
  if (key.type == KekType::kMicrosoftManaged) {
    body.member("kekType", "MicrosoftManaged");
    return;
  }
  body.member("kekType", "CustomerManaged");
  body.member("kekUrl", key.kek_url);
  body.member("kekVaultResourceID", key.kek_vault_resource_id);
}

void write_bitlocker_key(Writer& body, const DriveEntry& drive) {
  if (drive.recovery_password != nullptr) {
    body.member("bitLockerKey", drive.recovery_password->text());
  }
}

void write_carrier(Writer& body, std::string_view name, const JobParameters& job) {
  if (!job.return_shipping) return;
  body.key(name).begin_object();
  body.member("carrierName", job.return_shipping->carrier_name);
  body.member("carrierAccountNumber", job.return_shipping->carrier_account_number);
  body.end_object();
}

void write_databox_identity(Writer& body, const EncryptionKey& key) {
  if (key.type == KekType::kMicrosoftManaged) return;
  const bool user_assigned = !key.user_assigned_identity.empty();
  body.key("identity").begin_object();
  body.member("type", user_assigned ? "UserAssigned" : "SystemAssigned");
  if (user_assigned) {
    body.key("userAssignedIdentities").begin_object();
    body.key(key.user_assigned_identity).begin_object().end_object();
    body.end_object();
  }
  body.end_object();
}

void write_databox_key(Writer& body, const EncryptionKey& key) {
  body.key("keyEncryptionKey").begin_object();
  write_kek(body, key);
  if (key.type == KekType::kCustomerManaged) {
    const bool user_assigned = !key.user_assigned_identity.empty();
    body.key("identityProperties").begin_object();
    body.member("type", user_assigned ? "UserAssigned" : "SystemAssigned");
    if (user_assigned) {
      body.key("userAssigned").begin_object();
      body.member("resourceId", key.user_assigned_identity);
      body.end_object();
    }
    body.end_object();
  }
  body.end_object();
}

void write_databox_address(Writer& body, const JobParameters& job) {
  const job::ReturnAddress& address = job.return_address;
  body.key("contactDetails").begin_object();
  body.member("contactName", job.contact.name);
  body.member("phone", job.contact.phone);
  body.key("emailList").begin_array();
  for (const std::string& email : job.contact.emails) body.string(email);
  body.end_array().end_object();

  body.key("shippingAddress").begin_object();
  body.member("streetAddress1", address.street_address1);
  member_unless_empty(body, "streetAddress2", address.street_address2);
  body.member("city", address.city);
  member_unless_empty(body, "stateOrProvince", address.state_or_province);
  body.member("country", address.country_or_region);
  body.member("postalCode", address.postal_code);
  member_unless_empty(body, "companyName", address.company_name);
  body.member("addressType", "Commercial");
  body.end_object();
}

void write_return_address(Writer& body, const job::ReturnAddress& address) {
  body.key("returnAddress").begin_object();
  body.member("recipientName", address.recipient_name);
  body.member("streetAddress1", address.street_address1);
  member_unless_empty(body, "streetAddress2", address.street_address2);
  body.member("city", address.city);
  member_unless_empty(body, "stateOrProvince", address.state_or_province);
  body.member("postalCode", address.postal_code);
  body.member("countryOrRegion", address.country_or_region);
  body.member("phone", address.phone);
  body.member("email", address.email);
  body.end_object();
}

}  // namespace

SecretBytes databox_body(const JobParameters& job, const std::vector<DriveEntry>& drives) {
  check_databox_parameters(job);
  check_drives(drives);
  Writer body(kIndent);
  body.begin_object();
  body.member("location", job.location);
  write_tags(body, job);
  body.key("sku").begin_object().member("name", "DataBoxCustomerDisk").end_object();
  write_databox_identity(body, job.encryption_key);
  body.key("properties").begin_object();
  body.member("transferType", "ImportToAzure");
  body.key("details").begin_object();
  body.member("jobDetailsType", "DataBoxCustomerDisk");
  write_databox_address(body, job);

  body.key("dataImportDetails").begin_array().begin_object();
  body.key("accountDetails").begin_object();
  body.member("dataAccountType", "StorageAccount");
  body.member("storageAccountId", job.storage_account_id);
  body.end_object();
  body.member("logCollectionLevel", text_of(job.log_level));
  body.end_object().end_array();

  body.key("importDiskDetailsCollection").begin_object();
  for (const DriveEntry& drive : drives) {
    body.key(drive.drive_id).begin_object();
    body.member("manifestFile", drive.manifest_file);
    body.member("manifestHash", drive.manifest_hash);
    write_bitlocker_key(body, drive);
    body.end_object();
  }
  body.end_object();

  write_carrier(body, "returnToCustomerPackageDetails", job);
  body.key("enableManifestBackup").boolean(job.backup_drive_manifest);
  write_databox_key(body, job.encryption_key);
  body.end_object().end_object().end_object();
  return body.finish();
}

SecretBytes import_export_body(const JobParameters& job, const std::vector<DriveEntry>& drives) {
  check_import_export_parameters(job);
  check_drives(drives);
  Writer body(kIndent);
  body.begin_object();
  body.member("location", job.location);
  write_tags(body, job);
  body.key("properties").begin_object();
  body.member("storageAccountId", job.storage_account_id);
  body.member("jobType", "Import");
  write_return_address(body, job.return_address);
  write_carrier(body, "returnShipping", job);
  member_unless_empty(body, "diagnosticsPath", job.diagnostics_path);
  body.member("logLevel", text_of(job.log_level));
  body.key("backupDriveManifest").boolean(job.backup_drive_manifest);

  body.key("driveList").begin_array();
  for (const DriveEntry& drive : drives) {
    body.begin_object();
    body.member("driveId", drive.drive_id);
    write_bitlocker_key(body, drive);
    body.member("manifestFile", drive.manifest_file);
    body.member("manifestHash", drive.manifest_hash);
    // Optional, and no header of the volume is hashed: the empty text is what the service allows.
    body.member("driveHeaderHash", "");
    body.end_object();
  }
  body.end_array();

  body.key("encryptionKey").begin_object();
  write_kek(body, job.encryption_key);
  body.end_object();
  body.end_object().end_object();
  return body.finish();
}

}  // namespace driveprep::request

#include "agent/request/bodies.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/posix.h"

namespace driveprep::request {
namespace {

using nlohmann::json;

constexpr const char* kSubscription = "/subscriptions/00000000-0000-0000-0000-000000000000";

std::string resource(const std::string& rest) {
  return std::string(kSubscription) + "/resourceGroups/rg-import/providers/" + rest;
}

// The job of the golden files.
JobParameters sample_job() {
  JobParameters job;
  job.name = "import-2026-a";
  job.location = "westus";
  job.tags = {{"project", "archive"}, {"note", "says \"C:\\x\" \xC3\xA9"}};
  job.storage_account_id = resource("Microsoft.Storage/storageAccounts/contosoarchive");
  job.return_address.recipient_name = "Dock 4";
  job.return_address.company_name = "Contoso";
  job.return_address.street_address1 = "1 Example Way";
  job.return_address.city = "Redmond";
  job.return_address.state_or_province = "WA";
  job.return_address.postal_code = "98052";
  job.return_address.country_or_region = "US";
  job.return_address.phone = "4250000000";
  job.return_address.email = "dock@contoso.example";
  job.return_shipping = job::ReturnShipping{"FedEx", "123456789"};
  job.contact = {"Dock 4", "4250000000", {"dock@contoso.example"}};
  job.log_level = LogLevel::kVerbose;
  job.backup_drive_manifest = true;
  job.encryption_key.type = KekType::kCustomerManaged;
  job.encryption_key.kek_url =
      "https://contosokv.vault.azure.net/keys/importkek/0123456789abcdef0123456789abcdef";
  job.encryption_key.kek_vault_resource_id = resource("Microsoft.KeyVault/vaults/contosokv");
  return job;
}

const SecretBytes& password() {
  static const SecretBytes bytes =
      SecretBytes::copy_of("238810-662376-448998-450120-652806-203390-606320-483076");
  return bytes;
}

std::vector<DriveEntry> sample_drives(bool reveal = true) {
  const SecretBytes* key = reveal ? &password() : nullptr;
  return {{"ZC1A0F7K", "\\DriveManifest.xml", "109B21108597EF36D5785F08303F3638", key},
          {"WD-WX11", "\\DriveManifest.xml", "00000000000000000000000000000000", key}};
}

json databox(const JobParameters& job, const std::vector<DriveEntry>& drives = sample_drives()) {
  return json::parse(databox_body(job, drives).text());
}

json classic(const JobParameters& job, const std::vector<DriveEntry>& drives = sample_drives()) {
  return json::parse(import_export_body(job, drives).text());
}

std::string golden(const char* name) {
  return posix::read_file(std::filesystem::path(REQUEST_TEST_SOURCES) / name, 1 << 16,
                          ErrorKind::kInternal);
}

// "code pointer" of the Error that both checks throw; "" when both accept.
std::string refusal(const std::function<void(JobParameters&)>& edit,
                    const std::function<void(const JobParameters&)>& check) {
  JobParameters job = sample_job();
  edit(job);
  try {
    check(job);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    CHECK_FALSE(error.remedy().empty());
    const std::string message = error.what();
    const std::size_t start = message.find('/');
    return error.code() + " " + message.substr(start, message.find(' ', start) - start);
  }
  return "";
}

void check_refused(const std::function<void(JobParameters&)>& edit, const std::string& expected) {
  CAPTURE(expected);
  CHECK(refusal(edit, check_databox_parameters) == expected);
  CHECK(refusal(edit, check_import_export_parameters) == expected);
}

std::string drive_refusal(const std::function<void(std::vector<DriveEntry>&)>& edit) {
  std::vector<DriveEntry> drives = sample_drives();
  edit(drives);
  std::string code;
  try {
    databox_body(sample_job(), drives);
  } catch (const Error& error) {
    code = error.code();
    CHECK(std::string(error.what()).find("238810") == std::string::npos);
  }
  try {
    import_export_body(sample_job(), drives);
    CHECK(code.empty());
  } catch (const Error& error) {
    CHECK(error.code() == code);
  }
  return code;
}

TEST_CASE("the bodies are the ones the official clients accept, to the byte") {
  // These files have been through the clients: tests/integration/request_clients.
  CHECK(databox_body(sample_job(), sample_drives()).text() == golden("databox.json"));
  CHECK(import_export_body(sample_job(), sample_drives()).text() == golden("importexport.json"));
}

TEST_CASE("without recovery passwords nothing but bitLockerKey is missing") {
  json full = databox(sample_job());
  json& disks = full["properties"]["details"]["importDiskDetailsCollection"];
  for (auto& disk : disks) REQUIRE(disk.erase("bitLockerKey") == 1);
  CHECK(databox(sample_job(), sample_drives(false)) == full);

  full = classic(sample_job());
  for (auto& drive : full["properties"]["driveList"]) REQUIRE(drive.erase("bitLockerKey") == 1);
  CHECK(classic(sample_job(), sample_drives(false)) == full);
}

TEST_CASE("a job that names no key of its own uses Microsoft's") {
  JobParameters job = sample_job();
  job.encryption_key = {};
  const json box = databox(job);
  CHECK_FALSE(box.contains("identity"));
  CHECK(box["properties"]["details"]["keyEncryptionKey"] ==
        json({{"kekType", "MicrosoftManaged"}}));
  CHECK(classic(job)["properties"]["encryptionKey"] == json({{"kekType", "MicrosoftManaged"}}));
}

TEST_CASE("a user-assigned identity is named in both places of the Data Box body") {
  JobParameters job = sample_job();
  const std::string id = resource("Microsoft.ManagedIdentity/userAssignedIdentities/shipper");
  job.encryption_key.user_assigned_identity = id;
  const json box = databox(job);
  CHECK(box["identity"] ==
        json({{"type", "UserAssigned"}, {"userAssignedIdentities", {{id, json::object()}}}}));
  CHECK(box["properties"]["details"]["keyEncryptionKey"]["identityProperties"] ==
        json({{"type", "UserAssigned"}, {"userAssigned", {{"resourceId", id}}}}));
  CHECK_FALSE(classic(job).contains("identity"));
}

TEST_CASE("what is not given is left out of the bodies") {
  JobParameters job = sample_job();
  job.tags.clear();
  job.return_shipping.reset();
  job.return_address.state_or_province.clear();
  job.return_address.company_name.clear();
  job.diagnostics_path.clear();
  const json box = databox(job);
  CHECK_FALSE(box.contains("tags"));
  const json& details = box["properties"]["details"];
  CHECK_FALSE(details.contains("returnToCustomerPackageDetails"));
  CHECK_FALSE(details["shippingAddress"].contains("stateOrProvince"));
  CHECK_FALSE(details["shippingAddress"].contains("companyName"));
  const json ie = classic(job);
  CHECK_FALSE(ie.contains("tags"));
  for (const char* name : {"returnShipping", "diagnosticsPath"}) {
    CHECK_FALSE(ie["properties"].contains(name));
  }
  CHECK_FALSE(ie["properties"]["returnAddress"].contains("stateOrProvince"));
}

TEST_CASE("the contact of the job is told, whoever gets the drives") {
  JobParameters job = sample_job();
  job.contact = {"A. Operator", "1", {"a@b.example", "c@d.example"}};
  job.return_address.street_address2 = "Floor 2";
  const json details = databox(job)["properties"]["details"];
  CHECK(details["contactDetails"] == json({{"contactName", "A. Operator"},
                                           {"phone", "1"},
                                           {"emailList", {"a@b.example", "c@d.example"}}}));
  CHECK(details["shippingAddress"]["streetAddress2"] == "Floor 2");
}

TEST_CASE("a required field that is empty is named by its place in job.json") {
  const auto missing = [](const char* pointer) {
    return std::string("request-field-missing ") + pointer;
  };
  using Job = JobParameters;
  check_refused([](Job& j) { j.name = ""; }, missing("/name"));
  check_refused([](Job& j) { j.location = " "; }, missing("/location"));
  check_refused([](Job& j) { j.storage_account_id = ""; }, missing("/storageAccountId"));
  check_refused([](Job& j) { j.return_address.recipient_name = ""; },
                missing("/returnAddress/recipientName"));
  check_refused([](Job& j) { j.return_address.street_address1 = ""; },
                missing("/returnAddress/streetAddress1"));
  check_refused([](Job& j) { j.return_address.city = ""; }, missing("/returnAddress/city"));
  check_refused([](Job& j) { j.return_address.postal_code = ""; },
                missing("/returnAddress/postalCode"));
  check_refused([](Job& j) { j.return_address.country_or_region = ""; },
                missing("/returnAddress/countryOrRegion"));
  check_refused([](Job& j) { j.return_address.phone = ""; }, missing("/returnAddress/phone"));
  check_refused([](Job& j) { j.return_address.email = ""; }, missing("/returnAddress/email"));
  check_refused([](Job& j) { j.return_shipping->carrier_name = ""; },
                missing("/returnShipping/carrierName"));
  check_refused([](Job& j) { j.return_shipping->carrier_account_number = ""; },
                missing("/returnShipping/carrierAccountNumber"));
  check_refused([](Job& j) { j.encryption_key.kek_url = ""; }, missing("/encryption/keyUrl"));
  check_refused([](Job& j) { j.encryption_key.kek_vault_resource_id = ""; },
                missing("/encryption/vaultResourceId"));
  const auto no_email = [](Job& j) { j.contact = {"A", "1", {}}; };
  CHECK(refusal(no_email, check_databox_parameters) == missing("/contact/emails"));
  CHECK(refusal(no_email, check_import_export_parameters).empty());
}

TEST_CASE("a Data Box order is named by 3 to 24 word characters, dots and hyphens") {
  const auto named = [](const std::string& name) {
    return refusal([&](JobParameters& j) { j.name = name; }, check_databox_parameters);
  };
  for (const char* good : {"abc", "a.b", "A_b-9", "123456789012345678901234"}) {
    CHECK(named(good).empty());
  }
  for (const char* bad : {"ab", "1234567890123456789012345", "a b", "a/b", "a\xC3\xA9z", "a#b"}) {
    CAPTURE(bad);
    CHECK(named(bad) == "request-field-invalid /name");
  }
  const auto slash = [](JobParameters& j) { j.name = "a/b"; };
  CHECK(refusal(slash, check_import_export_parameters) == "request-field-invalid /name");
}

TEST_CASE("resource ids that are not complete or of another kind are refused") {
  const std::string rest = "/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/acc";
  for (const std::string& bad :
       {std::string("contosoarchive"), kSubscription + rest + "/", kSubscription + rest + "?x",
        "/subscriptions/abc" + rest, "https://portal.azure.com" + (kSubscription + rest),
        resource("Microsoft.Storage/storageAccounts/"), resource("Microsoft.Storage/accounts/a"),
        resource("Microsoft.KeyVault/vaults/a")}) {
    CAPTURE(bad);
    check_refused([&](JobParameters& j) { j.storage_account_id = bad; },
                  "request-field-invalid /storageAccountId");
  }
  for (const std::string& good :
       {kSubscription + rest, resource("microsoft.classicstorage/STORAGEACCOUNTS/a")}) {
    check_refused([&](JobParameters& j) { j.storage_account_id = good; }, "");
  }
  check_refused([](JobParameters& j) { j.encryption_key.kek_vault_resource_id = "contosokv"; },
                "request-field-invalid /encryption/vaultResourceId");
  check_refused([](JobParameters& j) { j.encryption_key.user_assigned_identity = "shipper"; },
                "request-field-invalid /encryption/identity/userAssignedIdentityId");
}

TEST_CASE("only the URL of a key is taken for one") {
  const std::string version = "0123456789abcdef0123456789abcdef";
  for (const std::string& good :
       {std::string("https://kv.vault.azure.net/keys/k"),
        std::string("https://kv.vault.azure.net/keys/k/"),
        "HTTPS://KV.vault.azure.net/keys/k-1/" + version + "/"}) {
    CAPTURE(good);
    check_refused([&](JobParameters& j) { j.encryption_key.kek_url = good; }, "");
  }
  for (const std::string& bad :
       {std::string("http://kv.vault.azure.net/keys/k"), std::string("https://kv/keys/k"),
        std::string("https://kv.vault.azure.net"), std::string("https://kv.vault.azure.net/keys/"),
        std::string("https://kv.vault.azure.net/secrets/k"),
        std::string("https://u@kv.vault.azure.net/keys/k"),
        std::string("https://kv.vault.azure.net/keys/k?x"),
        std::string("https://kv.vault.azure.net/keys/k/123"),
        "https://kv.vault.azure.net/keys/k/" + version + "/more"}) {
    CAPTURE(bad);
    check_refused([&](JobParameters& j) { j.encryption_key.kek_url = bad; },
                  "request-field-invalid /encryption/keyUrl");
  }
}

TEST_CASE("a job has 1 to 10 drives, each of them complete") {
  using Drives = std::vector<DriveEntry>;
  CHECK(drive_refusal([](Drives&) {}).empty());
  CHECK(drive_refusal([](Drives& d) { d.clear(); }) == "request-no-drives");
  const auto count = [](std::size_t n) {
    return [n](Drives& d) {
      d.resize(n, d.front());
      for (std::size_t i = 0; i < n; ++i) d[i].drive_id = "SERIAL" + std::to_string(i);
    };
  };
  CHECK(drive_refusal(count(10)).empty());
  CHECK(drive_refusal(count(11)) == "request-too-many-drives");

  const std::string refused = "request-drive-invalid";
  CHECK(drive_refusal([](Drives& d) { d[1].drive_id = d[0].drive_id; }) == refused);
  CHECK(drive_refusal([](Drives& d) { d[1].drive_id = ""; }) == refused);
  CHECK(drive_refusal([](Drives& d) { d[1].drive_id = "A B"; }) == refused);
  CHECK(drive_refusal([](Drives& d) { d[1].manifest_file = "DriveManifest.xml"; }) == refused);
  CHECK(drive_refusal([](Drives& d) { d[1].manifest_file = "\\a\\b.xml"; }) == refused);
  CHECK(drive_refusal([](Drives& d) { d[1].manifest_hash = "109b21108597ef36d5785f08303f3638"; }) ==
        refused);
  CHECK(drive_refusal([](Drives& d) { d[1].manifest_hash = "109B"; }) == refused);
  CHECK(drive_refusal([](Drives& d) { d[1].recovery_password = nullptr; }) == refused);
  const SecretBytes wrong =
      SecretBytes::copy_of("238811-662376-448998-450120-652806-203390-606320-483076");
  CHECK(drive_refusal([&](Drives& d) { d[1].recovery_password = &wrong; }) == refused);
}

}  // namespace
}  // namespace driveprep::request

#include "agent/job/job_spec.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <regex>

#include "agent/job/samples.h"
#include "base/posix.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using driveprep::test::error_of;
using nlohmann::json;

namespace {

// Every member there is, in two documents, because some exclude each other.
json complete_local() {
  return json::parse(R"({
    "$schema": "job.schema.json", "name": "archive.2026", "session": "photos#1",
    "location": "West Europe", "storageAccountId":
      "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a",
    "storageAccountLocation": "North Europe",
    "returnAddress": {"recipientName": "Dock 4", "companyName": "Contoso",
      "streetAddress1": "1 Example Way", "streetAddress2": "Gate", "city": "Springfield",
      "stateOrProvince": "WA", "postalCode": "12345", "countryOrRegion": "US", "phone": "1",
      "email": "dock@contoso.example"},
    "returnShipping": {"carrierName": "FedEx", "carrierAccountNumber": "42"},
    "contact": {"name": "Op", "phone": "2", "emails": ["a@b.example", "c@d.example"]},
    "tags": {"project": "x"}, "diagnosticsPath": "logs", "logLevel": "Verbose",
    "backupDriveManifest": true,
    "encryption": {"keyStore": "store", "keyName": "import-key"},
    "bitlocker": {"cipher": "aes-cbc-128", "externalKey": true, "passwordFile": "/run/password",
      "description": "d"},
    "sources": {"illegalNames": "refuse", "symlinks": "follow", "specials": "skip",
      "unreadable": "skip"}})");
}

json complete_vault() {
  json document = complete_local();
  document["encryption"] = json::parse(R"({
    "vaultUri": "https://v.vault.example", "keyName": "kek", "keyVersion": "0123",
    "vaultResourceId": "/subscriptions/x", "cloud": "custom", "profile": "data-box",
    "customCloud": {"vaultSuffix": "vault.example", "managedHsmSuffix": "hsm.example",
      "signInHosts": ["login.example"], "vaultResource": "https://keys.example",
      "managedHsmResource": "hsm.example"},
    "allowManagedHsm": true, "allowRegionMismatch": true, "retrySeconds": 5,
    "testEndpoints": {"connectTo": ["v.vault.example:443:127.0.0.1:8443"], "caFile": "ca.pem"},
    "identity": {"type": "UserAssigned", "userAssignedIdentityId": "/subscriptions/y/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"},
    "credential": {"source": "client-secret", "tenantId": "t", "clientId": "c",
      "clientSecretFile": "secret", "certificateFile": "cert", "tokenFile": "token"}})");
  return document;
}

job::JobSpec parse(const json& document, job::MemberSet* known = nullptr) {
  return job::parse_job_spec(document.dump(), "/jobs/one/job.json", known);
}
std::string refusal(const json& document) {
  return error_of([&] { parse(document); });
}
std::string changed(const char* pointer, const json& value) {
  json document = complete_local();
  document[json::json_pointer(pointer)] = value;
  return refusal(document);
}

json schema() {
  const auto file = std::filesystem::path(DRIVEPREP_SOURCE_TREE) / "samples" / "job.schema.json";
  return json::parse(posix::read_file(file, 1 << 20, ErrorKind::kUsage));
}

struct Member {
  std::string pointer;
  json rules;
  bool required = false;
};

void collect(const json& object, const std::string& pointer, std::vector<Member>& into) {
  CHECK(object.at("additionalProperties") == false);
  const json required = object.value("required", json::array());
  for (const auto& [name, rules] : object.at("properties").items()) {
    const bool needed = std::find(required.begin(), required.end(), name) != required.end();
    into.push_back({pointer + "/" + name, rules, needed});
    if (rules.contains("properties")) collect(rules, pointer + "/" + name, into);
  }
}

std::vector<Member> schema_members() {
  std::vector<Member> members;
  collect(schema(), "", members);
  return members;
}

}  // namespace

TEST_CASE("every member of a complete job.json is understood") {
  const auto spec = parse(complete_local());
  CHECK(spec.name == "archive.2026");
  CHECK(spec.session == "photos#1");
  CHECK(spec.storage_account_location == "North Europe");
  CHECK(spec.return_address.street_address2 == "Gate");
  CHECK(spec.return_shipping->carrier_account_number == "42");
  CHECK(spec.contact.emails.size() == 2);
  CHECK(spec.tags.at("project") == "x");
  CHECK(spec.log_level == "Verbose");
  CHECK(spec.backup_drive_manifest);
  CHECK(spec.encryption.key_store == "/jobs/one/store");
  CHECK(spec.encryption.key_name == "import-key");
  CHECK_FALSE(spec.encryption.customer_key);
  CHECK(spec.encryption.profile == keywrap::Profile::kImportExport);
  CHECK(spec.bitlocker.cipher == job::Cipher::kAesCbc128);
  CHECK(spec.bitlocker.external_key);
  CHECK(spec.bitlocker.password_file == "/run/password");
  CHECK(spec.sources.symlinks == job::SourcePolicy::Symlinks::kFollow);
  CHECK(spec.sources.unreadable == job::SourcePolicy::Unreadable::kSkip);

  const auto vault = parse(complete_vault());
  REQUIRE(vault.encryption.customer_key);
  CHECK(vault.encryption.customer_key->vault_uri == "https://v.vault.example");
  CHECK(vault.encryption.customer_key->key_name == "kek");
  CHECK(vault.encryption.key_name == "driveprep");  // of the local store
  CHECK(vault.encryption.profile == keywrap::Profile::kDataBox);
  CHECK(vault.encryption.identity.type == job::Identity::Type::kUserAssigned);
  CHECK(vault.encryption.credential.client_secret_file == "/jobs/one/secret");
  CHECK(vault.encryption.custom_cloud->sign_in_hosts.front() == "login.example");
  CHECK(vault.encryption.retry_seconds == 5);
  CHECK(vault.encryption.test_endpoints->ca_file == "/jobs/one/ca.pem");
}

TEST_CASE("what is left out has its default") {
  json document = complete_local();
  for (const char* name :
       {"session", "storageAccountLocation", "returnShipping", "contact", "tags", "diagnosticsPath",
        "logLevel", "backupDriveManifest", "encryption", "bitlocker", "sources", "$schema"}) {
    document.erase(name);
  }
  const auto spec = parse(document);
  CHECK(spec.session == "archive-2026");
  CHECK(spec.contact.name == "Dock 4");
  CHECK(spec.contact.emails == std::vector<std::string>{"dock@contoso.example"});
  CHECK_FALSE(spec.return_shipping);
  CHECK(spec.log_level == "Error");
  CHECK(spec.bitlocker.cipher == job::Cipher::kXtsAes256);
  CHECK(spec.encryption.key_store == job::default_key_store());
  CHECK(spec.encryption.key_name == "driveprep");
  CHECK(spec.sources.illegal_names == job::SourcePolicy::IllegalNames::kSubstitute);
  CHECK(spec.sources.unreadable == job::SourcePolicy::Unreadable::kReport);
}

TEST_CASE("the default key store follows XDG_DATA_HOME, else HOME") {
  const auto with = [](const char* data, const char* home) {
    ::setenv("XDG_DATA_HOME", data, 1);
    ::setenv("HOME", home, 1);
    return job::default_key_store();
  };
  CHECK(with("/data", "/h") == "/data/driveprep/keystore");
  CHECK(with("relative", "/h") == "/h/.local/share/driveprep/keystore");
  CHECK(with("", "/h") == "/h/.local/share/driveprep/keystore");
  ::unsetenv("XDG_DATA_HOME");
}

TEST_CASE("bad values are refused with the pointer to them") {
  CHECK(changed("/name", "ab") == "usage/job-value");
  CHECK(changed("/name", "has space") == "usage/job-value");
  CHECK(changed("/name", "-abc") == "usage/job-value");
  CHECK(changed("/session", "ab") == "usage/session-id");
  CHECK(changed("/session", "a b c") == "usage/session-id");
  CHECK(changed("/session", "COM1") == "usage/session-id");
  CHECK(changed("/session", "nul") == "usage/session-id");
  CHECK(changed("/storageAccountId", "/subscriptions/s") == "usage/job-value");
  CHECK(changed("/returnAddress/email", "nobody") == "usage/job-value");
  CHECK(changed("/returnAddress/city", "") == "usage/job-value");
  CHECK(changed("/returnAddress/city", "a\nb") == "usage/job-value");
  CHECK(changed("/contact/emails", json::array()) == "usage/job-value");
  CHECK(changed("/contact/emails", json::array({1})) == "usage/job-type");
  CHECK(changed("/tags/a<b", "x") == "usage/job-value");
  CHECK(changed("/tags/a", 1) == "usage/job-type");
  CHECK(changed("/encryption/keyName", "a_b") == "usage/job-value");
  CHECK(changed("/encryption/keyStore", "~/keys") == "usage/job-value");
  CHECK(changed("/bitlocker/cipher", "aes-xts-256") == "usage/job-value");
  CHECK(changed("/bitlocker/description", std::string(257, 'x')) == "usage/job-value");
  CHECK(changed("/tags", nullptr) == "usage/job-type");
  try {
    json document = complete_local();
    document["bitlocker"]["cipher"] = "rot13";
    parse(document);
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).starts_with("/jobs/one/job.json: /bitlocker/cipher "));
    CHECK(error.remedy().find("xts-aes-128") != std::string::npos);
  }
}

TEST_CASE("hosts of a cloud are taken as they are written elsewhere, and nothing else") {
  const auto with = [](const json& cloud) {
    json document = complete_vault();
    document["encryption"]["customCloud"] = cloud;
    return document;
  };
  const auto cloud = *parse(with({{"vaultSuffix", ".Vault.example"},
                                  {"signInHosts", {"https://login.example/", "LOGIN.example"}}}))
                          .encryption.custom_cloud;
  CHECK(cloud.vault_suffix == "vault.example");
  CHECK(cloud.managed_hsm_suffix.empty());
  CHECK(cloud.vault_resource.empty());
  CHECK(parse(complete_vault()).encryption.custom_cloud->vault_resource == "keys.example");
  CHECK(cloud.sign_in_hosts == std::vector<std::string>{"login.example", "login.example"});
  for (const char* host : {"", ".", "..a", "a..b", "http://a", "a/b", "a:443", "u@a", "a b"}) {
    CAPTURE(host);
    CHECK(refusal(with({{"vaultSuffix", host}, {"signInHosts", {"l"}}})).starts_with("usage/job-"));
    CHECK(refusal(with({{"vaultSuffix", "v"}, {"signInHosts", {host}}})) == "usage/job-value");
    if (*host != 0) {
      CHECK(refusal(
                with({{"vaultSuffix", "v"}, {"managedHsmSuffix", host}, {"signInHosts", {"l"}}})) ==
            "usage/job-value");
    }
  }
}

TEST_CASE("members that contradict each other are refused") {
  const auto with = [](std::initializer_list<std::pair<const char*, json>> changes,
                       std::initializer_list<const char*> removed = {}) {
    json document = complete_vault();
    for (const auto& [name, value] : changes) document["encryption"][name] = value;
    for (const char* name : removed) document["encryption"].erase(name);
    return refusal(document);
  };
  CHECK(with({{"keyUrl", "https://v/keys/k"}}) == "usage/job-conflict");
  CHECK(with({{"keyUrl", "https://v/keys/k"}}, {"vaultUri", "keyVersion"}) == "usage/job-conflict");
  CHECK(with({{"keyUrl", "https://v/keys/k"}}, {"vaultUri", "keyVersion", "keyName"}).empty());
  CHECK(with({}, {"keyName"}) == "usage/job-conflict");
  CHECK(with({}, {"vaultUri"}) == "usage/job-conflict");
  // The old store is still needed for what it wrapped; access may be told before the key.
  CHECK(with({{"keyStore", "x"}}).empty());
  CHECK(with({}, {"vaultUri", "keyVersion"}).empty());
  CHECK(with({{"cloud", "public"}}) == "usage/job-conflict");
  CHECK(with({}, {"customCloud"}) == "usage/job-conflict");
  CHECK(with({{"retrySeconds", 3601}}) == "usage/job-value");
  CHECK(with({{"retrySeconds", -1}}) == "usage/job-type");
  CHECK(with({{"identity", {{"type", "SystemAssigned"}, {"userAssignedIdentityId", "/x"}}}}) ==
        "usage/job-value");
}

TEST_CASE("an unknown member is named, with the one that was probably meant") {
  CHECK(changed("/loglevel", "Error") == "usage/job-unknown-member");
  CHECK(changed("/bitlocker/ciphers", "x") == "usage/job-unknown-member");
  try {
    json document = complete_local();
    document["sources"]["symlink"] = "skip";
    parse(document);
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("/sources/symlink ") != std::string::npos);
    CHECK(error.remedy() == "Did you mean \"symlinks\"?");
  }
}

TEST_CASE("JSON that is broken or ambiguous is refused with its place") {
  const auto code = [](const std::string& text) {
    return error_of([&] { job::parse_job_spec(text, "job.json"); });
  };
  CHECK(code("") == "usage/json-syntax");
  CHECK(code("{\"name\": }") == "usage/json-syntax");
  CHECK(code("{\"name\": \"\xFF\"}") == "usage/json-syntax");
  CHECK(code(std::string("{}\0{}", 5)) == "usage/json-syntax");
  CHECK(code("{\"name\": \"a\", \"name\": \"b\"}") == "usage/json-repeated-member");
  CHECK(code("[]") == "usage/job-type");
  CHECK(code("{/* comment */} // another") == "usage/job-member-missing");
  try {
    job::parse_job_spec("{\n  \"name\": \"x\"\n  \"location\": \"y\"\n}", "job.json");
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).starts_with("job.json:3:"));
  }
}

TEST_CASE("the JSON Schema has exactly the members that the parser knows") {
  job::MemberSet known;
  parse(complete_local(), &known);
  parse(complete_vault(), &known);
  job::MemberSet described;
  for (const Member& member : schema_members()) described.insert(member.pointer);
  CHECK(known == described);
}

TEST_CASE("the JSON Schema and the parser agree on types, values and what is needed") {
  for (const Member& member : schema_members()) {
    CAPTURE(member.pointer);
    const json::json_pointer pointer(member.pointer);
    json complete = complete_local();
    if (!complete.contains(pointer)) complete = complete_vault();
    json document = complete;
    if (!complete.contains(pointer)) {
      CHECK(member.pointer == "/encryption/keyUrl");  // excludes all others
      continue;
    }
    document[pointer] = member.rules.at("type") == "boolean" ? json("true") : json(true);
    CHECK(refusal(document) == "usage/job-type");

    document = complete;
    document[pointer.parent_pointer()].erase(pointer.back());
    if (member.required) {
      CHECK(refusal(document) == "usage/job-member-missing");
    } else if (!member.pointer.starts_with("/encryption/")) {
      CHECK(refusal(document).empty());
    }
    if (member.rules.contains("enum")) {
      for (const json& value : member.rules.at("enum")) {
        document = complete;
        document[pointer] = value;
        // Contradicts what stands beside it.
        if (value == "SystemAssigned" ||
            (member.pointer == "/encryption/cloud" && value != "custom")) {
          continue;
        }
        CHECK(refusal(document).empty());
      }
      document[pointer] = "nonsense";
      CHECK(refusal(document) == "usage/job-value");
    }
    if (member.rules.contains("pattern")) {
      const std::regex pattern(member.rules.at("pattern").get<std::string>());
      for (const char* value : {"", "a", "abc", "a b", "x@y", "ab_c", "-ab", "a.bc"}) {
        document = complete;
        document[pointer] = value;
        CAPTURE(value);
        CHECK(refusal(document).empty() == std::regex_search(value, pattern));
      }
    }
    if (member.rules.value("minLength", 0) > 0) {
      document = complete;
      document[pointer] = "";
      CHECK(refusal(document) == "usage/job-value");
    }
  }
}

#include "keywrap/key_policy.h"

#include <catch2/catch.hpp>

namespace driveprep::keywrap {
namespace {

constexpr UnixSeconds kNow = 1'800'000'000;

KeyVersion good_key() {
  KeyVersion key;
  key.kid = "https://demo.vault.azure.net/keys/cmk/0";
  key.key_type = "RSA";
  key.bits = 3072;
  key.enabled = true;
  key.recovery_level = "Recoverable";
  key.region = "westeurope";
  return key;
}

PolicyContext context(Profile profile = Profile::kImportExport) {
  PolicyContext result;
  result.profile = profile;
  result.now = kNow;
  result.storage_region = "West Europe";
  return result;
}

// "Condition" for an error, "(Condition)" for a warning, "()" for one about no condition.
std::vector<std::string> judged(const KeyVersion& key, const PolicyContext& rules = context()) {
  std::vector<std::string> names;
  for (const Finding& finding : judge_key(key, rules)) {
    const std::string name(finding.condition ? to_string(*finding.condition) : "");
    names.push_back(finding.severity == Finding::Severity::kError ? name : "(" + name + ")");
    CHECK_FALSE(finding.message.empty());
  }
  return names;
}

using Names = std::vector<std::string>;

TEST_CASE("a sound key has no findings for any service") {
  const Profile profile = GENERATE(from_range(kProfiles));
  CHECK(judged(good_key(), context(profile)).empty());
}

TEST_CASE("only RSA keys are taken") {
  for (const char* type : {"EC", "EC-HSM", "oct", "oct-HSM", "AKP", "rsa", "RSA-HSMx", ""}) {
    KeyVersion key = good_key();
    key.key_type = type;
    CHECK(judged(key) == Names{"KeyTypeUnsupported"});
  }
  KeyVersion key = good_key();
  key.key_type = "RSA-HSM";
  CHECK(judged(key).empty());
}

TEST_CASE("each service has its own rule for the length") {
  const auto with = [](unsigned bits, Profile profile) {
    KeyVersion key = good_key();
    key.bits = bits;
    return judged(key, context(profile)).empty();
  };
  for (const Profile profile : {Profile::kImportExport, Profile::kDataBox}) {
    CHECK_FALSE(with(2047, profile));
    CHECK(with(2048, profile));
    CHECK(with(2056, profile));
    CHECK(with(8192, profile));
  }
  for (const Profile profile : {Profile::kStorage, Profile::kBackupVault}) {
    CHECK(with(2048, profile));
    CHECK(with(3072, profile));
    CHECK(with(4096, profile));
    CHECK_FALSE(with(2056, profile));
    CHECK_FALSE(with(1024, profile));
    CHECK_FALSE(with(8192, profile));
  }
}

TEST_CASE("recovery levels count as whole words") {
  for (const char* level :
       {"Recoverable", "Recoverable+ProtectedSubscription", "CustomizedRecoverable",
        "CustomizedRecoverable+ProtectedSubscription"}) {
    KeyVersion key = good_key();
    key.recovery_level = level;
    CHECK(judged(key).empty());
  }
  for (const char* level : {"", "Purgeable", "Recoverable+Purgeable",
                            "CustomizedRecoverable+Purgeable", "recoverable", "Recoverables"}) {
    KeyVersion key = good_key();
    key.recovery_level = level;
    CHECK(judged(key) == Names{"NotRecoverable"});
  }
}

TEST_CASE("the window of a key begins with its first second and ends before its last") {
  KeyVersion key = good_key();
  key.not_before = kNow;
  CHECK(judged(key) == Names{"(KeyNotYetActive)"});  // clocks may differ
  key.not_before = kNow + 1;
  CHECK(judged(key) == Names{"KeyNotYetActive"});
  key.not_before = kNow - 3600;
  CHECK(judged(key).empty());
  key.expires = kNow + 3600;
  CHECK(judged(key).empty());
  key.expires = kNow + 299;
  CHECK(judged(key) == Names{"(KeyExpired)"});
  key.expires = kNow;
  CHECK(judged(key) == Names{"KeyExpired"});
}

TEST_CASE("all that is wrong is found, in the order of the diagnosis") {
  KeyVersion key = good_key();
  key.bits = 1024;
  key.operations = std::vector<std::string>{"wrapKey"};
  key.recovery_level = "Purgeable";
  key.enabled = false;
  key.expires = kNow - 1;
  key.region = "eastus";
  CHECK(judged(key) == Names{"KeySizeUnsupported", "KeyOperationMissing", "NotRecoverable",
                             "KeyDisabled", "KeyExpired", "RegionMismatch"});
}

TEST_CASE("regions are compared without spelling, and only where the service wants it") {
  KeyVersion key = good_key();
  key.region = "East US";
  CHECK(judged(key) == Names{"RegionMismatch"});
  CHECK(judged(key, context(Profile::kStorage)).empty());
  PolicyContext agreed = context();
  agreed.region_may_differ = true;
  CHECK(judged(key, agreed) == Names{"(RegionMismatch)"});
  key.region.clear();
  CHECK(judged(key) == Names{"(RegionMismatch)"});
  CHECK(normal_region("West US 2") == "westus2");
}

TEST_CASE("exposed, exportable and certificates' keys are told") {
  KeyVersion key = good_key();
  key.managed = true;
  key.exportable = true;
  CHECK(judged(key) == Names{"()", "()"});
  key = good_key();
  key.has_private_members = true;
  CHECK(judged(key) == Names{"KeyMaterialExposed"});
}

TEST_CASE("only Data Box and storage accounts let a key go back") {
  CHECK_FALSE(may_revert(Profile::kImportExport));
  CHECK(may_revert(Profile::kDataBox));
  CHECK(may_revert(Profile::kStorage));
  CHECK_FALSE(may_revert(Profile::kBackupVault));
}

TEST_CASE("every condition has a name, a cause, a remedy and a code of each service") {
  for (const Condition condition : all_conditions()) {
    CAPTURE(to_string(condition));
    CHECK_FALSE(to_string(condition).empty());
    CHECK(cause_of(condition).ends_with("."));
    CHECK(remedy_of(condition).ends_with("."));
    for (const Profile profile : kProfiles) {
      const std::string_view code = code_of(condition, profile);
      CHECK_FALSE(code.empty());
      REQUIRE(condition_of(code));
    }
  }
}

TEST_CASE("codes are printed letter by letter as the articles have them") {
  const auto codes = [](Condition condition) {
    return std::vector<std::string_view>{code_of(condition, Profile::kImportExport),
                                         code_of(condition, Profile::kDataBox),
                                         code_of(condition, Profile::kBackupVault)};
  };
  using Codes = std::vector<std::string_view>;
  const std::string_view manged = "UserErrorCMKMissingMangedIdentityPermissionOnKeyVault";
  CHECK(codes(Condition::kAccessDenied) ==
        Codes{"CmkErrorAccessRevoked", "SsemUserErrorKeyVaultBadRequestException", manged});
  CHECK(codes(Condition::kWrapDenied) == Codes{"CmkErrorAccessRevoked",
                                               "SsemUserErrorKeyVaultBadRequestException",
                                               "UserErrorCMKKeyVaultAuthFailure"});
  CHECK(codes(Condition::kKeyNotFound)[0] == "CmkErrorKeyNotFound");
  CHECK(codes(Condition::kKeyNotFound)[1] == "SsemUserErrorKeyDetailsNotFound");
  CHECK(codes(Condition::kVaultNotFound)[0] == "CmkErrorVaultNotFound");
  CHECK(codes(Condition::kVaultNotFound)[1] == "SsemUserErrorKeyVaultDetailsNotFound");
  CHECK(codes(Condition::kKeyTypeUnsupported) == Codes{"SsemUserErrorEncryptionKeyTypeNotSupported",
                                                       "SsemUserErrorEncryptionKeyTypeNotSupported",
                                                       manged});
  CHECK(codes(Condition::kKeyDisabled)[0] == "CmkErrorKeyDisabled");
  CHECK(codes(Condition::kKeyDisabled)[1] == "SsemUserErrorEncryptionKeyDisabled");
  CHECK(condition_of("CmkErrorDisabled") == Condition::kKeyDisabled);
  CHECK(condition_of("CmkErrorNotFound") == Condition::kKeyNotFound);
  CHECK_FALSE(condition_of("CmkErrorOther"));
}

}  // namespace
}  // namespace driveprep::keywrap

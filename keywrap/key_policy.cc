#include "keywrap/key_policy.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/file_time.h"

namespace driveprep::keywrap {
namespace {

// What differs between the services.
struct Rules {
  bool exact_sizes;  // 2048, 3072 or 4096 bits; otherwise at least 2048
  bool same_region;
  bool may_revert;
  bool managed_hsm;
};

constexpr Rules rules_of(Profile profile) {
  switch (profile) {
    case Profile::kImportExport:
      return {.exact_sizes = false, .same_region = true, .may_revert = false, .managed_hsm = false};
    case Profile::kDataBox:
      return {.exact_sizes = false, .same_region = false, .may_revert = true, .managed_hsm = false};
    case Profile::kStorage:
      return {.exact_sizes = true, .same_region = false, .may_revert = true, .managed_hsm = true};
    case Profile::kBackupVault:
      return {.exact_sizes = true, .same_region = false, .may_revert = false, .managed_hsm = true};
  }
  internal_error("a profile without rules");
}

constexpr unsigned kFewestBits = 2048;
constexpr UnixSeconds kClockMargin = 5 * 60;

std::string text_of(UnixSeconds seconds) {
  return FileTime::from_timespec({.tv_sec = seconds, .tv_nsec = 0}).iso8601();
}

class Judge {
 public:
  Judge(const KeyVersion& key, const PolicyContext& context)
      : key_(key), context_(context), rules_(rules_of(context.profile)) {}

  std::vector<Finding> findings() {
    type();
    size();
    operations();
    if (context_.in_vault) recovery();
    state();
    if (context_.in_vault && rules_.same_region) region();
    peculiarities();
    return std::move(findings_);
  }

 private:
  void error(Condition condition, std::string message) {
    findings_.push_back({Finding::Severity::kError, condition, std::move(message)});
  }
  // `remedy` is its own: that of the condition is for when it has come true.
  void warning(std::optional<Condition> condition, std::string message, std::string remedy) {
    findings_.push_back(
        {Finding::Severity::kWarning, condition, std::move(message), std::move(remedy)});
  }

  bool is_rsa() const { return key_.key_type == "RSA" || key_.key_type == "RSA-HSM"; }

  void type() {
    if (key_.has_private_members) {
      error(Condition::kKeyMaterialExposed, "the description of the key has private members");
    }
    if (!is_rsa()) {
      error(Condition::kKeyTypeUnsupported,
            "the key is of type " + (key_.key_type.empty() ? "unknown" : key_.key_type) +
                "; RSA and RSA-HSM are taken");
    }
  }

  void size() {
    if (!is_rsa()) return;
    const bool exact = key_.bits == 2048 || key_.bits == 3072 || key_.bits == 4096;
    if (rules_.exact_sizes ? exact : key_.bits >= kFewestBits) return;
    error(Condition::kKeySizeUnsupported,
          "the modulus has " + std::to_string(key_.bits) + " bits; " +
              (rules_.exact_sizes ? "2048, 3072 or 4096 are taken" : "at least 2048 are taken"));
  }

  void operations() {
    if (!key_.operations) return;
    std::string missing;
    for (const char* name : {"wrapKey", "unwrapKey"}) {
      if (std::ranges::find(*key_.operations, name) != key_.operations->end()) continue;
      missing += (missing.empty() ? "" : " and ") + std::string(name);
    }
    if (missing.empty()) return;
    error(Condition::kKeyOperationMissing, "the key's operations lack " + missing);
  }

  // Whole values: "CustomizedRecoverable+Purgeable" contains the right word and is still wrong.
  void recovery() {
    const std::string& level = key_.recovery_level;
    for (const char* good :
         {"Recoverable", "Recoverable+ProtectedSubscription", "CustomizedRecoverable",
          "CustomizedRecoverable+ProtectedSubscription"}) {
      if (level == good) return;
    }
    std::string why = "is not one that is known";
    if (level.empty()) why = "is not told";
    if (level == "Recoverable+Purgeable" || level == "CustomizedRecoverable+Purgeable") {
      why = "says that purge protection is off";
    }
    if (level == "Purgeable") why = "says that soft delete and purge protection are off";
    error(Condition::kNotRecoverable,
          "the recovery level of the key" + (level.empty() ? "" : " (" + level + ")") + " " + why);
  }

  void state() {
    if (!key_.enabled) error(Condition::kKeyDisabled, "the key " + key_.kid + " is disabled");
    if (key_.not_before && context_.now < *key_.not_before) {
      error(Condition::kKeyNotYetActive,
            "the key " + key_.kid + " is not active before " + text_of(*key_.not_before));
    }
    if (key_.expires && context_.now >= *key_.expires) {
      error(Condition::kKeyExpired,
            "the key " + key_.kid + " expired at " + text_of(*key_.expires));
    } else if (key_.expires && *key_.expires - context_.now < kClockMargin) {
      warning(Condition::kKeyExpired,
              "the key " + key_.kid + " expires within 5 minutes, at " + text_of(*key_.expires),
              "Extend its expiration date, or make a new version of the key.");
    }
    if (key_.not_before && context_.now >= *key_.not_before &&
        context_.now - *key_.not_before < kClockMargin) {
      warning(Condition::kKeyNotYetActive,
              "the key " + key_.kid + " has been active for less than 5 minutes, since " +
                  text_of(*key_.not_before) + "; clocks may differ",
              "Wait five minutes if the vault refuses the key.");
    }
  }

  void region() {
    const std::string vault = normal_region(key_.region);
    const std::string storage = normal_region(context_.storage_region);
    if (vault.empty() || storage.empty()) {
      warning(
          Condition::kRegionMismatch,
          std::string("the region of the ") + (vault.empty() ? "vault" : "storage account") +
              " is not known, so it could not be compared",
          "Make sure that both are in one region; storageAccountLocation in job.json says where "
          "the storage account is.");
      return;
    }
    if (vault == storage) return;
    const std::string message = "the vault is in " + vault + ", the storage account in " + storage;
    if (context_.region_may_differ) {
      warning(Condition::kRegionMismatch, message + "; the job says that this is wanted",
              "Nothing, if the service takes it.");
    } else {
      error(Condition::kRegionMismatch, message);
    }
  }

  void peculiarities() {
    if (key_.managed) {
      warning({}, "the key belongs to a certificate, and is deleted together with it",
              "Keep the certificate for as long as the job lives, or use a key of its own.");
    }
    if (key_.exportable) {
      warning({}, "the key is exportable: it can leave its store under its release policy",
              "Use a key that is not exportable, unless this is wanted.");
    }
  }

  const KeyVersion& key_;
  const PolicyContext& context_;
  Rules rules_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> judge_key(const KeyVersion& key, const PolicyContext& context) {
  return Judge(key, context).findings();
}

std::string normal_region(std::string_view region) {
  std::string normal;
  for (const char c : ascii::lower(region)) {
    if (c != ' ') normal += c;
  }
  return normal;
}

bool may_revert(Profile profile) { return rules_of(profile).may_revert; }
bool takes_managed_hsm(Profile profile) { return rules_of(profile).managed_hsm; }

}  // namespace driveprep::keywrap

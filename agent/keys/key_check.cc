#include "agent/keys/key_check.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "agent/keys/envelopes.h"
#include "keywrap/content_key.h"
#include "keywrap/local_key_store.h"

namespace driveprep::keys {
namespace {

using keywrap::Condition;
using keywrap::Finding;
using keywrap::KeyError;

constexpr std::size_t kTrialBytes = 32;
constexpr std::chrono::seconds kBetweenAttempts{10};

bool is_access(Condition condition) {
  return condition == Condition::kAccessDenied || condition == Condition::kWrapDenied;
}

class Check {
 public:
  Check(JobKeys& keys, const KeySetting& setting, const CheckOptions& options)
      : keys_(keys),
        setting_(setting),
        options_(options),
        end_(std::chrono::steady_clock::now() + options.wait_for_access) {
    result_.key = setting.uri;
    if (setting.place == KeySetting::Place::kVault) keys.ring().use_identity(setting.identity);
  }

  KeyCheck run() {
    identity();
    if (is_made_on_first_use()) {
      result_.made_on_first_use = true;
      return std::move(result_);
    }
    if (!describe()) return std::move(result_);
    judge();
    try_out();
    return std::move(result_);
  }

 private:
  void add(const KeyError& error) {
    result_.findings.push_back({{Finding::Severity::kError, error.condition(), error.what()},
                                error.evidence(),
                                error.remedy()});
  }
  void add(Finding finding) {
    CheckFinding found{std::move(finding), {}, {}};
    found.evidence.kid = result_.version ? result_.version->kid : setting_.uri;
    if (result_.version) found.evidence.request_id = result_.version->request_id;
    found.remedy = found.finding.remedy.empty() ? std::string(remedy(*found.finding.condition))
                                                : found.finding.remedy;
    result_.findings.push_back(std::move(found));
  }

  // The article of Import/Export knows the system-assigned identity of a job only.
  void identity() {
    if (setting_.place != KeySetting::Place::kVault ||
        options_.profile != keywrap::Profile::kImportExport ||
        setting_.identity.type != job::Identity::Type::kUserAssigned) {
      return;
    }
    add(Finding{Finding::Severity::kWarning, std::nullopt,
                "the article of Import/Export names system-assigned identities only; whether the "
                "service takes a user-assigned one is not known",
                "Use the system-assigned identity of the job, or ask the service first."});
  }

  // The local key store has commands of its own.
  std::string remedy(Condition condition) const {
    if (setting_.place == KeySetting::Place::kLocal && result_.version) {
      const std::string local = keywrap::local_remedy(condition, result_.version->kid);
      if (!local.empty()) return local;
    }
    return std::string(keywrap::remedy_of(condition));
  }

  // Again and again while access is denied and the time of the whole check lasts, the last time at
  // its end; true when it succeeded.
  template <typename Work>
  bool attempt(Work work) {
    while (true) {
      const auto left = end_ - std::chrono::steady_clock::now();
      try {
        work();
        return true;
      } catch (const KeyError& error) {
        if (!is_access(error.condition()) || left <= left.zero()) {
          add(error);
          return false;
        }
      }
      tell_of_wait(left);
      std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(kBetweenAttempts, left));
    }
  }

  void tell_of_wait(std::chrono::nanoseconds left) {
    if (std::exchange(told_, true)) return;
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(left).count();
    keys_.ring().notice("access is denied; asking again for up to " + std::to_string(seconds) +
                        " s, as --wait-for-access says (Ctrl-C ends it)");
  }

  // Nothing is under it yet, so nothing can be wrong with it.
  bool is_made_on_first_use() {
    if (setting_.place != KeySetting::Place::kLocal ||
        !envelopes_of(keys_.job().directory).empty()) {
      return false;
    }
    try {
      keys_.ring().local().newest(setting_.uri);
      return false;
    } catch (const KeyError& error) {
      return error.condition() == Condition::kKeyNotFound;
    } catch (const Error& error) {
      if (error.code() == "key-store-missing") return true;
      throw;
    }
  }

  bool describe() {
    return attempt([&] {
      result_.version = setting_.place == KeySetting::Place::kLocal
                            ? keys_.ring().local().newest(setting_.uri)
                            : keys_.ring().describe(setting_.uri);
    });
  }

  void judge() {
    keywrap::PolicyContext context;
    context.profile = options_.profile;
    context.now = keys_.now();
    const job::JobSpec& spec = keys_.job().spec;
    context.storage_region =
        spec.storage_account_location.empty() ? spec.location : spec.storage_account_location;
    context.region_may_differ = keys_.region_may_differ(setting_);
    context.in_vault = setting_.place == KeySetting::Place::kVault;
    for (Finding& finding : keywrap::judge_key(*result_.version, context)) {
      add(std::move(finding));
    }
  }

  // Permissions show only in use. What the rules have found already is not told twice.
  void try_out() {
    const SecretBytes trial = SecretBytes::random(kTrialBytes);
    const std::string& kid = result_.version->kid;
    Bytes wrapped;
    result_.wrapped = attempt_unless_known([&] { wrapped = keys_.ring().wrap(kid, trial); });
    if (!result_.wrapped) return;
    result_.unwrapped =
        attempt_unless_known([&] { keywrap::prove_wrapped(keys_.ring(), kid, wrapped, trial); });
  }

  template <typename Work>
  bool attempt_unless_known(Work work) {
    const std::size_t before = result_.findings.size();
    if (attempt(work)) return true;
    const CheckFinding& added = result_.findings.back();
    const bool known = std::any_of(
        result_.findings.begin(), result_.findings.begin() + static_cast<std::ptrdiff_t>(before),
        [&](const CheckFinding& found) {
          return is_error(found) && found.finding.condition == added.finding.condition;
        });
    if (known) result_.findings.pop_back();
    return false;
  }

  JobKeys& keys_;
  const KeySetting& setting_;
  const CheckOptions& options_;
  const std::chrono::steady_clock::time_point end_;  // of waiting for access
  bool told_ = false;                                // that it waits
  KeyCheck result_;
};

}  // namespace

bool is_error(const CheckFinding& found) {
  return found.finding.severity == Finding::Severity::kError;
}

const CheckFinding* KeyCheck::error() const {
  const auto found = std::ranges::find_if(findings, is_error);
  return found == findings.end() ? nullptr : &*found;
}

std::vector<std::string> KeyCheck::warnings() const {
  std::vector<std::string> texts;
  for (const CheckFinding& found : findings) {
    if (!is_error(found)) texts.push_back(found.finding.message);
  }
  return texts;
}

KeyCheck check_key(JobKeys& keys, const KeySetting& setting, const CheckOptions& options) {
  return Check(keys, setting, options).run();
}

KeyCheck check_key_in_use(JobKeys& keys, const CheckOptions& options) {
  const auto& state = keys.state();
  const KeySetting setting = keys.setting();
  KeyCheck newest = check_key(keys, setting, options);
  const bool follows = state && setting.is_customers() && !setting.pinned;
  if (!follows || state->current_kid.empty() ||
      (newest.version && newest.version->kid == state->current_kid)) {
    return newest;
  }
  KeySetting exact = setting;
  exact.uri = state->current_kid;
  KeyCheck in_use = check_key(keys, exact, options);
  for (CheckFinding& found : newest.findings) {
    if (!is_error(found)) continue;
    found.finding.severity = Finding::Severity::kWarning;
    found.finding.message = "the newest version is not used: " + found.finding.message;
    in_use.findings.push_back(std::move(found));
  }
  return in_use;
}

void throw_unfit(const KeyCheck& check, keywrap::Profile profile) {
  const CheckFinding* found = check.error();
  require(found != nullptr, "a key that is fit was called unfit");
  throw KeyError(*found->finding.condition, found->finding.message, found->evidence, found->remedy,
                 profile);
}

}  // namespace driveprep::keys

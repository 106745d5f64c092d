#include "agent/keys/job_keys.h"

#include <algorithm>

#include "agent/keys/audit.h"
#include "agent/keys/envelopes.h"
#include "keywrap/key_error.h"
#include "keywrap/key_policy.h"
#include "keywrap/key_uri.h"

namespace driveprep::keys {
namespace {

using keywrap::Condition;
using keywrap::KeyError;

bool is_customers(std::string_view kid) {
  return !kid.empty() && !keywrap::LocalKeyUri::parse(kid).has_value();
}

// Nothing of an envelope that cannot be read: whoever opens it tells that.
std::vector<std::string> readable_kids(const EnvelopeFile& file) {
  try {
    return kids_of(file);
  } catch (const Error&) {
    return {};
  }
}

bool any_envelope_under_customers_key(const job::JobDirectory& directory) {
  return std::ranges::any_of(envelopes_of(directory), [](const EnvelopeFile& file) {
    return std::ranges::any_of(readable_kids(file), is_customers);
  });
}

// Nothing else than access that was there before.
bool is_revocation(Condition condition) {
  switch (condition) {
    case Condition::kAccessDenied:
    case Condition::kWrapDenied:
    case Condition::kFirewallDenied:
    case Condition::kKeyDisabled:
    case Condition::kKeyNotFound:
    case Condition::kKeySoftDeleted:
    case Condition::kVaultNotFound:
    case Condition::kTenantMismatch:
    case Condition::kCrossTenantIdentity:
    case Condition::kSystemIdentityAbsent:
    case Condition::kUserIdentityAbsent:
    case Condition::kPrincipalNotFound: return true;
    default: return false;
  }
}

}  // namespace

JobKeys::JobKeys(const job::Job& job, Operator who, keywrap::Clock clock)
    : job_(job),
      clock_(std::move(clock)),
      ring_(job, std::move(who)),
      state_(load_key_state(job.directory)) {
  if (state_) {
    for (const std::string& uri : state_->tokens) ring_.add_token(uri);
  }
  ring_.use_identity(identity());
  if (const auto& key = job.spec.encryption.customer_key; key && is_token_uri(key->key_url)) {
    try {
      ring_.add_token(key->key_url);
    } catch (const KeyError&) {
      // Told by setting(), to whoever needs it.
    }
  }
}

void JobKeys::unlock() {
  const bool needed = !setting().is_customers() ||
                      std::ranges::any_of(envelopes_of(job_.directory), [](const auto& file) {
                        const auto kids = readable_kids(file);
                        return !kids.empty() && !is_customers(kids.front());
                      });
  if (needed) ring_.local().unlock();
}

const job::Identity& JobKeys::identity() const {
  const bool in_vault = state_ && state_->setting.place == KeySetting::Place::kVault;
  return in_vault ? state_->setting.identity : job_.spec.encryption.identity;
}

KeySetting JobKeys::setting() const {
  return state_ ? state_->setting : setting_of(job_.spec.encryption);
}

bool JobKeys::has_used_customers_key(const journal::Journal* journal) const {
  if (state_ && state_->ever_customers) return true;
  if (journal != nullptr && customers_profile(*journal)) return true;
  return any_envelope_under_customers_key(job_.directory);
}

bool JobKeys::may_use_local_key(const journal::Journal* journal) const {
  if (!has_used_customers_key(journal)) return true;
  const auto recorded = journal != nullptr ? customers_profile(*journal) : std::nullopt;
  return recorded && keywrap::may_revert(*recorded) &&
         keywrap::may_revert(job_.spec.encryption.profile) &&
         (!state_ || !state_->ever_customers || keywrap::may_revert(state_->profile));
}

void JobKeys::require_local_key_allowed(const journal::Journal* journal) const {
  if (may_use_local_key(journal)) return;
  const bool whole = journal == nullptr || journal->check_chain().whole();
  throw KeyError(Condition::kRevertRefused,
                 whole
                     ? "the job has used a customer-managed key, and cannot go back to the key of "
                       "this machine"
                     : "the record of the job was changed, so nothing shows that it has not used "
                       "a customer-managed key; it cannot use the key of this machine",
                 {},
                 whole ? ""
                       : "Restore journal.db and audit-head.json from a copy of the job directory; "
                         "driveprep key audit tells what is wrong with them.",
                 job_.spec.encryption.profile);
}

void JobKeys::require_settled(const journal::Journal* journal) const {
  const KeySetting wanted = setting_of(job_.spec.encryption);
  const std::string job_text = job_.directory.root().string();
  // A job file that has named no key all along says nothing about going back.
  const bool says_local = !wanted.is_customers() && !(state_ && wanted == state_->job_file);
  if (says_local) require_local_key_allowed(journal);
  if (!state_) return;
  if (state_->health == KeyState::Health::kInconsistent) {
    throw Error(ErrorKind::kKey, "key-change-unfinished",
                "a change of the job's key to " +
                    (state_->target ? state_->target->kid : std::string("another one")) +
                    " was interrupted",
                state_->target ? "Run driveprep key rewrap " + job_text + " to finish it."
                               : "Run driveprep key set " + job_text +
                                     " with the key that the job is to have.");
  }
  // Whatever the state says now.
  if (!state_->setting.is_customers()) require_local_key_allowed(journal);
  if (wanted == state_->job_file || wanted == state_->setting) return;
  throw Error(ErrorKind::kUsage, "key-settings-changed",
              job_.directory.job_file().string() + " names " + text_of(wanted) +
                  ", but the job uses " + text_of(state_->setting),
              "Run driveprep key set " + job_text +
                  " to change to the key in job.json, or put back what job.json said.");
}

bool JobKeys::region_may_differ(const KeySetting& setting) const {
  const std::string vault = vault_of(setting);
  return job_.spec.encryption.allow_region_mismatch || other_region_ == vault ||
         (state_ && state_->other_region == vault);
}

keywrap::Profile JobKeys::service_to_record(const journal::Journal* journal) const {
  const bool recorded = journal != nullptr && customers_profile(*journal).has_value();
  return !recorded && has_used_customers_key(journal) ? keywrap::Profile::kImportExport
                                                      : job_.spec.encryption.profile;
}

KeyState JobKeys::state_for(const KeySetting& setting, keywrap::Profile service) const {
  KeyState state;
  if (state_) {
    state = *state_;
  } else {
    state.profile = service;
  }
  if (setting.is_customers() && !state.ever_customers) {
    state.ever_customers = true;
    state.profile = service;
  }
  state.setting = setting;
  if (setting.place == KeySetting::Place::kToken &&
      std::ranges::find(state.tokens, setting.uri) == state.tokens.end()) {
    state.tokens.push_back(setting.uri);
  }
  state.cloud = job_.spec.encryption.cloud;
  if (!other_region_.empty()) state.other_region = other_region_;
  state.job_file = setting_of(job_.spec.encryption);
  return state;
}

void JobKeys::save(const KeyState& state) {
  save_key_state(job_.directory, state);
  state_ = state;
}

void JobKeys::remember_access() noexcept {
  try {
    // An unfinished change says more than a refusal; a refusal of another key says nothing.
    if (!state_ || state_->health == KeyState::Health::kInconsistent) return;
    // A token tells its keys in another way than the job names them.
    std::optional<KeyRing::LastUse> last = ring_.last_use(state_->current_kid);
    if (!last) last = ring_.last_use(state_->setting.uri);
    if (!last) return;
    KeyState state = *state_;
    if (last->refusal && is_revocation(last->refusal->condition())) {
      state.health = KeyState::Health::kRevoked;
      state.trouble = last->refusal->code();
    } else if (!last->refusal) {
      state.health = KeyState::Health::kOk;
      state.trouble.clear();
    }
    if (state.health != state_->health || state.trouble != state_->trouble) save(state);
  } catch (const std::exception&) {
  }
}

}  // namespace driveprep::keys

#include "agent/keys/key_change.h"

#include <algorithm>

#include "agent/keys/audit.h"
#include "agent/keys/old_keys.h"
#include "keywrap/key_uri.h"

namespace driveprep::keys {
namespace {

using journal::Journal;
using keywrap::Condition;
using keywrap::KeyError;
using nlohmann::ordered_json;
using Place = KeySetting::Place;

bool is_local(const std::string& kid) { return keywrap::LocalKeyUri::parse(kid).has_value(); }

std::string without_version(const KeySetting& setting) {
  return setting.pinned ? setting.uri.substr(0, setting.uri.rfind('/')) : setting.uri;
}

Reason reason_of(const KeySetting& from, const KeySetting& to) {
  if (from.is_customers() != to.is_customers() || from.place != to.place) {
    return Reason::kModeChange;
  }
  if (to.place != Place::kVault) return Reason::kNewKey;
  if (vault_of(from) != vault_of(to)) return Reason::kNewVault;
  if (from.uri == to.uri && from.identity != to.identity) return Reason::kNewIdentity;
  return without_version(from) == without_version(to) ? Reason::kNewVersion : Reason::kNewKey;
}

// Back to the local key, and key and identity at once, are no changes that a service allows.
void require_allowed(JobKeys& keys, const Journal& journal, const KeySetting& to) {
  const KeySetting from = keys.setting();
  if (!to.is_customers()) keys.require_local_key_allowed(&journal);
  const bool in_use = keys.state() && keys.state()->setting.place == Place::kVault;
  if (in_use && to.place == Place::kVault && from.uri != to.uri && from.identity != to.identity) {
    throw Error(ErrorKind::kUsage, "key-and-identity",
                "key and identity would change in one step, which the service does not allow",
                "Change the identity first, then the key: two calls of driveprep key set.");
  }
}

KeyCheck require_fit(JobKeys& keys, const KeySetting& setting, const CheckOptions& options) {
  KeyCheck check = check_key(keys, setting, options);
  if (check.error() != nullptr) throw_unfit(check, options.profile);
  return check;
}

// Why a job gets the key `to`. Without a state it is job.json that names the key from which a
// change would begin, and only the envelopes tell what the job has used.
Reason reason_of_change(const JobKeys& keys, const KeySetting& to) {
  if (keys.state()) return reason_of(keys.setting(), to);
  const std::string current = current_kid(keys);
  if (current.empty()) return Reason::kNewKey;
  return is_local(current) == to.is_customers() ? Reason::kModeChange
                                                : reason_of(keys.setting(), to);
}

// What stands at stake, before the fact: only the customer can bring such a key back.
void tell_what_is_at_stake(JobKeys& keys, const KeySetting& to) {
  const auto& state = keys.state();
  const bool known = state && state->setting.is_customers() &&
                     without_version(state->setting) == without_version(to);
  if (!to.is_customers() || known) return;
  keys.ring().notice("from now on the recovery passwords of this job open only while the key " +
                     to.uri +
                     ", its vault or token and its permissions exist; when they are deleted for "
                     "good, the recovery passwords are lost");
}

ordered_json details_of(const KeyState::Target& target, const std::string& old_kid,
                        keywrap::Profile service, bool region_may_differ) {
  ordered_json details = {{"from", old_kid},
                          {"to", target.kid},
                          {"reason", to_string(target.reason)},
                          {"customers", target.setting.is_customers()},
                          {"service", keywrap::to_string(service)},
                          {"region_may_differ", region_may_differ}};
  if (target.setting.place == Place::kVault) {
    details["identity"] = text_of(target.setting.identity);
  }
  return details;
}

// Steps 2 to 4 of a change.
KeyChange carry_out(JobKeys& keys, Journal& journal, const KeyState::Target& target,
                    const KeyCheck& check, const RewrapProgress& progress) {
  make_room(keys, journal, target.kid);
  tell_what_is_at_stake(keys, target.setting);
  KeyChange change;
  change.old_kid = current_kid(keys);
  change.new_kid = target.kid;
  change.reason = target.reason;
  change.changed = true;
  change.found = check.warnings();
  const keywrap::Profile service = keys.service_to_record(&journal);
  // The journal first: what it tells of a customer's key can never be taken back.
  record(journal, change.old_kid.empty() ? kKeyAdopted : kKeyChanged, "",
         details_of(target, change.old_kid, service, keys.region_may_differ(target.setting)));
  KeyState state = keys.state_for(target.setting, service);
  state.setting = keys.setting();
  if (state.current_kid.empty()) state.current_kid = change.old_kid;  // whoever goes on knows it
  state.health = KeyState::Health::kInconsistent;
  state.trouble.clear();
  state.target = target;
  keys.save(state);
  change.counts = rewrap_envelopes(keys, journal, target.kid, target.reason, progress);

  state.setting = target.setting;
  state.job_file = setting_of(keys.job().spec.encryption);
  state.current_kid = target.kid;
  state.last_version_check = keys.now();
  state.vault_region = check.version ? check.version->region : "";
  state.health = KeyState::Health::kOk;
  state.target.reset();
  add_rotations(state, change.old_kid, change.reason, change.counts, keys.now());
  keys.save(state);
  return change;
}

std::string why_unused(const std::string& kid, const KeyCheck& check) {
  return kid + " is newer, but is not used: " + check.error()->finding.message;
}

KeySetting exactly(KeySetting setting, const std::string& kid) {
  if (setting.is_customers()) setting.uri = kid;
  return setting;
}

// The newest version, as long as it can be used; else the one in use, and `why` tells.
std::string usable_newest(const KeyCheck& check, const std::string& current, std::string& why) {
  require(check.version.has_value(), "a key without description was called usable");
  if (check.error() == nullptr || current.empty() || check.version->kid == current) {
    return check.version->kid;
  }
  why = why_unused(check.version->kid, check);
  return current;
}

// The newest version that a key has, looked up now, and what follows from it.
ReadyKey look_up(JobKeys& keys, const CheckOptions& options) {
  const KeySetting setting = keys.setting();
  const std::string current = current_kid(keys);
  ReadyKey ready;
  ready.looked = true;
  ready.check = check_key(keys, setting, options);
  if (ready.check.made_on_first_use) return ready;
  if (!ready.check.version) {
    // A vault may tell of a disabled version that it is disabled, and nothing else.
    const bool only_newest = keys.state() && !setting.pinned && !current.empty() &&
                             ready.check.error()->finding.condition == Condition::kKeyDisabled;
    if (!only_newest) throw_unfit(ready.check, options.profile);
    ready.kid = current;
    ready.newer_unused = why_unused("the newest version of " + setting.uri, ready.check);
    return ready;
  }
  ready.kid =
      usable_newest(ready.check, keys.state() ? current : std::string(), ready.newer_unused);
  const bool is_newest = ready.kid == ready.check.version->kid;
  if (is_newest && ready.check.error() != nullptr) throw_unfit(ready.check, options.profile);
  const bool adopted = !keys.state() && setting.is_customers();
  if (ready.kid == current && !adopted) return ready;
  ready.change = {setting, ready.kid, reason_of_change(keys, setting)};
  return ready;
}

// After a re-wrap without a change: keys that no change has told of.
void keep_strangers(JobKeys& keys, const KeyChange& change) {
  if (!keys.state()) return;
  KeyState state = *keys.state();
  const std::size_t known = state.rotations.size();
  add_rotations(state, change.old_kid, Reason::kRepair, change.counts, keys.now());
  if (state.rotations.size() != known) keys.save(state);
}

// Where an interrupted change leads.
struct WayOut {
  KeyState::Target target;
  KeyCheck check;
  std::string newer_unused;
};

// To where it was to lead. Only when that was nobody's choice but the newest version, which cannot
// be used any more, to one that is newer still, or back.
WayOut way_out(JobKeys& keys, const KeyState::Target& target, const CheckOptions& options) {
  KeyCheck check = check_key(keys, exactly(target.setting, target.kid), options);
  if (check.error() == nullptr) return {target, std::move(check), {}};
  const KeySetting& setting = target.setting;
  const bool follows =
      setting.is_customers() && !setting.pinned && setting == keys.state()->setting;
  if (!follows) throw_unfit(check, options.profile);
  KeyCheck newest = check_key(keys, setting, options);
  if (newest.version && newest.error() == nullptr && newest.version->kid != target.kid) {
    const std::string kid = newest.version->kid;
    return {{setting, kid, Reason::kNewVersion}, std::move(newest), {}};
  }
  const std::string& before = keys.state()->current_kid;
  KeyCheck back = check_key(keys, exactly(setting, before), options);
  if (back.error() != nullptr) throw_unfit(check, options.profile);
  return {{setting, before, Reason::kRepair}, std::move(back), why_unused(target.kid, check)};
}

}  // namespace

bool version_check_is_due(const KeyState& state, UnixSeconds now) {
  return now < state.last_version_check || now - state.last_version_check >= kVersionCheckInterval;
}

std::vector<std::string> KeyChange::warnings() const {
  std::vector<std::string> all = found;
  all.insert(all.end(), counts.warnings.begin(), counts.warnings.end());
  if (!newer_unused.empty()) all.push_back(newer_unused);
  return all;
}

KeyChange change_key(JobKeys& keys, Journal& journal, const KeySetting& to,
                     const ChangeOptions& options) {
  require_allowed(keys, journal, to);
  const auto& state = keys.state();
  // Back to the key in use is the way out when the new one is lost.
  const bool gives_up =
      state && state->target &&
      ((state->setting == to && state->target->setting != to) || to.uri == state->current_kid);
  if (state && state->target && state->target->setting != to && !gives_up) {
    throw Error(ErrorKind::kKey, "key-change-unfinished",
                "a change of the job's key to " + state->target->kid + " was interrupted",
                "Run driveprep key rewrap " + keys.job().directory.root().string() +
                    " to finish it; then change the key. To give it up instead, set the key that "
                    "was in use: driveprep key set --key-url " +
                    state->setting.uri);
  }
  if (to.place == Place::kLocal) keys.ring().local_or_create().newest_or_create(to.uri);
  const KeyCheck check = require_fit(keys, to, options.check);
  require_old_keys(keys, check.version->kid);
  const bool settled = state && state->health != KeyState::Health::kInconsistent;
  if (settled && state->setting == to && state->current_kid == check.version->kid) {
    KeyState same = keys.state_for(to, keys.service_to_record(&journal));
    same.job_file = setting_of(keys.job().spec.encryption);
    keys.save(same);
    KeyChange change;
    change.old_kid = change.new_kid = same.current_kid;
    change.found = check.warnings();
    return change;
  }
  const Reason reason = gives_up ? Reason::kRepair : reason_of_change(keys, to);
  return carry_out(keys, journal, {to, check.version->kid, reason}, check, options.progress);
}

KeyChange rewrap_job(JobKeys& keys, Journal& journal, const ChangeOptions& options) {
  KeyChange change;
  if (keys.state() && keys.state()->target) {
    const KeyState::Target target = *keys.state()->target;
    if (!target.setting.is_customers()) keys.require_local_key_allowed(&journal);
    const WayOut way = way_out(keys, target, options.check);
    change = carry_out(keys, journal, way.target, way.check, options.progress);
    change.newer_unused = way.newer_unused;
  } else {
    keys.require_settled(&journal);
    const ReadyKey ready = look_up(keys, options.check);
    // A local key that nothing has needed yet, so that nothing is under it.
    if (ready.kid.empty()) return change;
    change = use_key(keys, journal, ready, options.progress);
    if (!change.changed) {
      // Copies that were put back may be under older versions.
      change.counts =
          rewrap_envelopes(keys, journal, change.new_kid, Reason::kRepair, options.progress);
      keep_strangers(keys, change);
    }
  }
  change.dropped = drop_old_keys(keys, journal);
  return change;
}

ReadyKey ready_key(JobKeys& keys, const Journal* journal, const CheckOptions& options,
                   bool checked) {
  keys.require_settled(journal);
  const KeySetting setting = keys.setting();
  ReadyKey ready;
  if (!setting.is_customers()) return ready;
  const auto& state = keys.state();
  const bool known = state && !state->current_kid.empty();
  if (!known || (!setting.pinned && version_check_is_due(*state, keys.now()))) {
    ready = look_up(keys, options);
    if (ready.newer_unused.empty()) return ready;
  } else {
    ready.kid = state->current_kid;
  }
  if (checked) ready.check = require_fit(keys, exactly(setting, ready.kid), options);
  return ready;
}

KeyChange use_key(JobKeys& keys, Journal& journal, const ReadyKey& ready,
                  const RewrapProgress& progress) {
  KeyChange change;
  if (ready.change) {
    require_old_keys(keys, ready.kid);
    change = carry_out(keys, journal, *ready.change, ready.check, progress);
  } else {
    change.old_kid = change.new_kid =
        ready.kid.empty() ? keys.ring().local_or_create().newest_or_create(keys.setting().uri).kid
                          : ready.kid;
    change.found = ready.check.warnings();
    if (ready.looked && keys.state()) {
      KeyState state = *keys.state();
      state.last_version_check = keys.now();
      keys.save(state);
    }
  }
  change.newer_unused = ready.newer_unused;
  return change;
}

}  // namespace driveprep::keys

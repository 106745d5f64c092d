#include "agent/keys/key_change.h"

#include <algorithm>

#include "agent/keys/audit.h"
#include "agent/keys/envelopes.h"
#include "keywrap/content_key.h"
#include "keywrap/key_uri.h"

namespace driveprep::keys {
namespace {

using journal::Journal;
using keywrap::Condition;
using keywrap::KeyError;
using Place = KeySetting::Place;

std::string host_of(const std::string& uri) {
  const std::size_t start = uri.find("://") + 3;
  return uri.substr(start, uri.find('/', start) - start);
}

bool is_local(const std::string& kid) { return keywrap::LocalKeyUri::parse(kid).has_value(); }

std::string without_version(const KeySetting& setting) {
  return setting.pinned ? setting.uri.substr(0, setting.uri.rfind('/')) : setting.uri;
}

Reason reason_of(const KeySetting& from, const KeySetting& to) {
  if (from.is_customers() != to.is_customers() || from.place != to.place) {
    return Reason::kModeChange;
  }
  if (to.place != Place::kVault) return Reason::kNewKey;
  if (host_of(from.uri) != host_of(to.uri)) return Reason::kNewVault;
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

// An update fails when the old key does not open any more: better before anything was changed.
void require_old_key(JobKeys& keys) {
  const auto files = envelopes_of(keys.job().directory);
  if (files.empty()) return;
  const keywrap::Envelope envelope = read_envelope(files.front(), keys.job().spec.name);
  keywrap::unwrap_content_key(envelope.recipients, keys.ring());
}

std::string first_kid(const JobKeys& keys) {
  if (keys.state() && !keys.state()->current_kid.empty()) return keys.state()->current_kid;
  const auto files = envelopes_of(keys.job().directory);
  return files.empty() ? std::string() : kids_of(files.front()).front();
}

// Why a job gets the key `to`. Without a state it is job.json that names the key from which a
// change would begin, and only the envelopes tell what the job has used.
Reason reason_of_change(const JobKeys& keys, const KeySetting& to) {
  if (keys.state()) return reason_of(keys.setting(), to);
  const std::string current = first_kid(keys);
  if (current.empty()) return Reason::kNewKey;
  return is_local(current) == to.is_customers() ? Reason::kModeChange
                                                : reason_of(keys.setting(), to);
}

// One record for each key that envelopes were found under besides the new one, so that each is
// dropped some day: also versions of the local key that came and went without a re-wrap, and a new
// key that was given up halfway.
void add_rotations(KeyState& state, const KeyChange& change, UnixSeconds now) {
  const auto add = [&](const std::string& old_kid, std::size_t envelopes) {
    state.rotations.push_back(
        {now, change.reason, old_kid, state.current_kid, envelopes, now + kOverlap, std::nullopt});
  };
  for (const auto& [kid, envelopes] : change.counts.older) {
    if (kid == change.old_kid || kid == state.current_kid) continue;
    if (std::ranges::find(state.rotations, kid, &Rotation::old_kid) == state.rotations.end()) {
      add(kid, envelopes);
    }
  }
  if (!change.old_kid.empty() && change.old_kid != state.current_kid) {
    add(change.old_kid, change.counts.envelopes);
  }
}

// Steps 2 to 4 of a change.
KeyChange carry_out(JobKeys& keys, Journal& journal, const KeyState::Target& target,
                    const KeyCheck& check, const RewrapProgress& progress) {
  KeyChange change;
  change.old_kid = first_kid(keys);
  change.new_kid = target.kid;
  change.reason = target.reason;
  change.changed = true;
  KeyState state = keys.state_for(target.setting);
  const KeySetting before = keys.setting();
  state.setting = before;
  if (state.current_kid.empty()) state.current_kid = change.old_kid;  // whoever goes on knows it
  state.health = KeyState::Health::kInconsistent;
  state.trouble.clear();
  state.target = target;
  keys.save(state);
  record(journal, change.old_kid.empty() ? kKeyAdopted : kKeyChanged, "",
         {{"from", change.old_kid},
          {"to", target.kid},
          {"reason", to_string(target.reason)},
          {"customers", target.setting.is_customers()},
          {"service", keywrap::to_string(keys.job().spec.encryption.profile)},
          {"region_may_differ", state.region_may_differ}});
  change.counts = rewrap_envelopes(keys, journal, target.kid, target.reason, progress);

  state.setting = target.setting;
  state.job_file = setting_of(keys.job().spec.encryption);
  state.current_kid = target.kid;
  state.last_version_check = keys.now();
  state.vault_region = check.version ? check.version->region : "";
  state.health = KeyState::Health::kOk;
  state.target.reset();
  add_rotations(state, change, keys.now());
  keys.save(state);
  return change;
}

// The newest version, as long as it can be used; else the one in use, and `why` tells.
std::string usable_newest(const KeyCheck& check, const std::string& current, std::string& why) {
  require(check.version.has_value(), "a key without description was called usable");
  if (check.error() == nullptr || current.empty() || check.version->kid == current) {
    return check.version->kid;
  }
  why = check.version->kid + " is newer, but is not used: " + check.error()->finding.message;
  return current;
}

// The newest version that a key has, looked up now, and what follows from it.
ReadyKey look_up(JobKeys& keys, const CheckOptions& options) {
  const KeySetting setting = keys.setting();
  const std::string current = first_kid(keys);
  ReadyKey ready;
  ready.looked = true;
  ready.check = check_key(keys, setting, options);
  if (!ready.check.version) throw_unfit(ready.check, options.profile);
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
void keep_strangers(JobKeys& keys, KeyChange change) {
  if (!keys.state()) return;
  KeyState state = *keys.state();
  const std::size_t known = state.rotations.size();
  change.reason = Reason::kRepair;
  add_rotations(state, change, keys.now());
  if (state.rotations.size() != known) keys.save(state);
}

void drop_old(JobKeys& keys, Journal& journal, KeyChange& change) {
  if (!keys.state()) return;
  KeyState state = *keys.state();
  const UnixSeconds now = keys.now();
  bool changed = false;
  for (Rotation& rotation : state.rotations) {
    if (!rotation.dropped && now < rotation.time) {  // the clock went backwards
      rotation.time = now;
      rotation.droppable = now + kOverlap;
      changed = true;
    }
  }
  const auto droppable = [&](const std::string& kid) {
    // Of several rotations the last one counts; a key that came by no rotation is left alone.
    const auto last = std::find_if(state.rotations.rbegin(), state.rotations.rend(),
                                   [&](const Rotation& r) { return r.old_kid == kid; });
    return last != state.rotations.rend() && may_drop(*last, now);
  };
  // Also recipients that were dropped before: a copy that was put back may have brought them back.
  change.dropped = drop_recipients(keys, journal, state.current_kid, droppable);
  for (Rotation& rotation : state.rotations) {
    if (rotation.dropped || !may_drop(rotation, now)) continue;
    rotation.dropped = now;
    changed = true;
  }
  if (changed) keys.save(state);
}

}  // namespace

bool version_check_is_due(const KeyState& state, UnixSeconds now) {
  return now < state.last_version_check || now - state.last_version_check >= kVersionCheckInterval;
}

bool may_drop(const Rotation& rotation, UnixSeconds now) {
  return now >= rotation.time && now >= rotation.droppable && now - rotation.time >= kOverlap;
}

KeyChange change_key(JobKeys& keys, Journal& journal, const KeySetting& to,
                     const ChangeOptions& options) {
  require_allowed(keys, journal, to);
  const auto& state = keys.state();
  // Back to the key in use is the way out when the new one is lost.
  const bool gives_up = state && state->target && state->setting == to;
  if (state && state->target && state->target->setting != to && !gives_up) {
    throw Error(ErrorKind::kKey, "key-change-unfinished",
                "a change of the job's key to " + state->target->kid + " was interrupted",
                "Run driveprep key rewrap " + keys.job().directory.root().string() +
                    " to finish it; then change the key.");
  }
  if (to.place == Place::kLocal) keys.ring().local_or_create().newest_or_create(to.uri);
  const KeyCheck check = require_fit(keys, to, options.check);
  require_old_key(keys);
  if (state && !state->target && state->setting == to && state->current_kid == check.version->kid) {
    KeyState same = keys.state_for(to);
    keys.save(same);
    KeyChange change;
    change.old_kid = change.new_kid = same.current_kid;
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
    KeySetting exact = target.setting;
    if (exact.is_customers()) exact.uri = target.kid;
    const KeyCheck check = require_fit(keys, exact, options.check);
    change = carry_out(keys, journal, target, check, options.progress);
  } else {
    keys.require_settled(&journal);
    change = use_key(keys, journal, look_up(keys, options.check), options.progress);
    if (!change.changed) {
      // Copies that were put back may be under older versions.
      change.counts =
          rewrap_envelopes(keys, journal, change.new_kid, Reason::kRepair, options.progress);
      keep_strangers(keys, change);
    }
  }
  drop_old(keys, journal, change);
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
    return look_up(keys, options);
  }
  ready.kid = state->current_kid;
  if (checked) {
    KeySetting exact = setting;
    exact.uri = ready.kid;
    ready.check = require_fit(keys, exact, options);
  }
  return ready;
}

KeyChange use_key(JobKeys& keys, Journal& journal, const ReadyKey& ready,
                  const RewrapProgress& progress) {
  KeyChange change;
  if (ready.change) {
    require_old_key(keys);
    change = carry_out(keys, journal, *ready.change, ready.check, progress);
  } else {
    change.old_kid = change.new_kid =
        ready.kid.empty() ? keys.ring().local_or_create().newest_or_create(keys.setting().uri).kid
                          : ready.kid;
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

// From one key to another: the change that an operator asks for, the next version of a key, the end
// of an interrupted change (key-wrapping reference, R22 to R28 and 6.3).
//
// The caller holds the lock of the job. What is done is done in steps after each of which every
// envelope opens with a key that it names, and `key rewrap` finishes what was interrupted:
//   1. the new key passes the whole check, and the old one still opens an envelope
//   2. the state says where the change leads (inconsistent from now on), the journal says who began
//   3. every envelope gets the new key beside the old one
//   4. the state says that the new key is the job's
//   5. a day later the old key's recipients are dropped (old_keys.h)
#pragma once

#include <optional>
#include <string>

#include "agent/keys/job_keys.h"
#include "agent/keys/key_check.h"
#include "agent/keys/rewrap_envelopes.h"

namespace driveprep::keys {

struct KeyChange {
  bool changed = false;  // another key or version than before
  std::string old_kid;   // empty when there was none
  std::string new_kid;
  Reason reason = Reason::kRepair;
  RewrapCounts counts;
  std::size_t dropped = 0;  // recipients of older versions
  // A newer version is there but not used, and why.
  std::string newer_unused;
  std::vector<std::string> found;  // warnings of the check of the new key

  // All that the operator is to know, each once.
  std::vector<std::string> warnings() const;
};

struct ChangeOptions {
  CheckOptions check;
  RewrapProgress progress;
};

// To another key, version, vault or identity, or back to the local key where the service allows it.
// Throws KeyError kRevertRefused and everything that is wrong with the key; kUsage
// "key-and-identity" when both would change at once; kKey "key-change-unfinished" when an earlier
// change to another key is unfinished, unless the way leads back to the key that was in use.
KeyChange change_key(JobKeys& keys, journal::Journal& journal, const KeySetting& to,
                     const ChangeOptions& options);

// Finishes an interrupted change; else looks for the newest version when the key follows it, and
// brings every envelope under it; then drops what may be dropped. A version that was followed and
// has become unusable on the way is given up for a newer one, or for the one in use before.
KeyChange rewrap_job(JobKeys& keys, journal::Journal& journal, const ChangeOptions& options);

// The key for new envelopes, found fit; nothing is written yet.
struct ReadyKey {
  std::string kid;  // empty: a local key that use_key() makes
  // First use, or a newer version: every envelope is to come under it.
  std::optional<KeyState::Target> change;
  KeyCheck check;
  bool looked = false;       // for a newer version
  std::string newer_unused;  // as in KeyChange
};

// A customer's key is looked for in a newer version once a day when it follows the newest. With
// `checked` it passes the whole check whether it was used before or not. Throws what is wrong with
// it and as JobKeys::require_settled(). `journal` may be null.
ReadyKey ready_key(JobKeys& keys, const journal::Journal* journal, const CheckOptions& options,
                   bool checked);
// Makes it so; `new_kid` of the result wraps from now on.
KeyChange use_key(JobKeys& keys, journal::Journal& journal, const ReadyKey& ready,
                  const RewrapProgress& progress = {});

// How often a newer version is looked for.
inline constexpr UnixSeconds kVersionCheckInterval = 24 * 3600;

// Whether it is time to look for a newer version. A clock that went backwards counts as time.
bool version_check_is_due(const KeyState& state, UnixSeconds now);

}  // namespace driveprep::keys

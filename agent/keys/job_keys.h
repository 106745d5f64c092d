// The keys of one job: its stores, which of their keys it uses, and what it knows about that key.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/job/job_directory.h"
#include "agent/journal/journal.h"
#include "agent/keys/key_ring.h"
#include "agent/keys/key_setting.h"
#include "agent/keys/key_state.h"

namespace driveprep::keys {

class JobKeys {
 public:
  // Reads JOB/key-state.json; touches no key and no network. `job` outlives this.
  JobKeys(const job::Job& job, Operator who, keywrap::Clock clock = keywrap::system_clock_seconds);

  KeyRing& ring() { return ring_; }
  // Asks for the passphrase of the local key store now, if an envelope needs it.
  void unlock();
  const job::Job& job() const { return job_; }
  // The customer says that the vault of the key, and no other, may be in another region than the
  // storage account; kept in the state.
  void allow_region_mismatch(const KeySetting& setting) { other_region_ = vault_of(setting); }
  bool region_may_differ(const KeySetting& setting) const;
  const std::optional<KeyState>& state() const { return state_; }
  UnixSeconds now() const { return clock_(); }

  // As whom the service reaches the key, and this machine where it has that identity.
  const job::Identity& identity() const;
  // The key that the job uses: the one it was set to, else that of job.json. Whoever only opens
  // envelopes needs no setting at all: they name their keys themselves.
  KeySetting setting() const;

  // Whether the key may be used for new envelopes. `journal` may be null. Throws
  //   KeyError kRevertRefused          the job would go back to the local key, and may not
  //   kKey "key-change-unfinished"     a change of the key was interrupted
  //   kUsage "key-settings-changed"    job.json was edited and names another key than the job uses
  void require_settled(const journal::Journal* journal) const;

  // Whether the job has ever used a customer's key, as far as anything still tells: its state, its
  // journal, its envelopes.
  bool has_used_customers_key(const journal::Journal* journal) const;
  // Whether the job may (again) use the local key. The services in force whenever a customer's key
  // was taken into use decide, and the one in force now: all have to allow it. What only the state
  // tells, which anybody can edit, allows nothing.
  bool may_use_local_key(const journal::Journal* journal) const;
  // KeyError kRevertRefused when it may not.
  void require_local_key_allowed(const journal::Journal* journal) const;

  // The service whose rule about going back is recorded with a customer's key: the one in force;
  // but when the job has used such a key before and no journal tells for which service, the
  // strictest.
  keywrap::Profile service_to_record(const journal::Journal* journal) const;

  // The state to change and save: what is there, else a new one for `setting`. `service` is that of
  // service_to_record().
  KeyState state_for(const KeySetting& setting, keywrap::Profile service) const;
  void save(const KeyState& state);

  // Keeps in the state how the last use of the key ended: that access was taken away, or is back,
  // so that `key status` can tell it. Never throws: the state is no reason to fail.
  void remember_access() noexcept;

 private:
  const job::Job& job_;
  keywrap::Clock clock_;
  KeyRing ring_;
  std::optional<KeyState> state_;
  std::string other_region_;
};

// For commands that may write: remembers at the end of the scope, however it is left.
class AccessMemory {
 public:
  explicit AccessMemory(JobKeys& keys) : keys_(keys) {}
  AccessMemory(const AccessMemory&) = delete;
  AccessMemory& operator=(const AccessMemory&) = delete;
  ~AccessMemory() { keys_.remember_access(); }

 private:
  JobKeys& keys_;
};

}  // namespace driveprep::keys

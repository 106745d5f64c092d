// What a job knows about its key: JOB/key-state.json (0600; key-wrapping reference, 6.1). It exists
// from the first use of a customer's key, or the first re-wrap, on.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/job/job_directory.h"
#include "agent/keys/key_setting.h"
#include "keywrap/key_store.h"

namespace driveprep::keys {

using keywrap::UnixSeconds;

// Why envelopes were re-wrapped.
enum class Reason { kNewVersion, kNewKey, kNewVault, kNewIdentity, kModeChange, kRepair };
std::string_view to_string(Reason reason);  // "new-version", ...

struct Rotation {
  UnixSeconds time = 0;
  Reason reason = Reason::kNewVersion;
  std::string old_kid;
  std::string new_kid;
  std::size_t envelopes = 0;
  // From then on the old version may be disabled, and its recipients dropped.
  UnixSeconds droppable = 0;
  std::optional<UnixSeconds> dropped;
};

struct KeyState {
  enum class Health {
    kOk,
    kInconsistent,  // a change was begun and not finished: `target` is where it leads
    kRevoked,       // the last use failed because access was taken away
  };
  struct Target {
    KeySetting setting;
    std::string kid;
    Reason reason = Reason::kRepair;
  };

  KeySetting setting;
  bool ever_customers = false;  // one way: never false again
  // The service in force when a customer's key was first used; its rule about going back stays.
  keywrap::Profile profile = keywrap::Profile::kImportExport;
  std::string cloud;
  std::string current_kid;  // wraps now
  UnixSeconds last_version_check = 0;
  std::string vault_region;
  std::string other_region;  // the vault that the customer allows to be in another region
  Health health = Health::kOk;
  std::string trouble;  // the code that made it kRevoked
  std::optional<Target> target;
  // What job.json said when `setting` was taken over: tells whether it was edited since.
  KeySetting job_file;
  std::vector<Rotation> rotations;  // oldest first
  // Identifiers of tokens that envelopes were under, with module and PIN file.
  std::vector<std::string> tokens;

  // Throws FormatError.
  static KeyState parse(std::string_view json);
  std::string to_json() const;
};
std::string_view to_string(KeyState::Health health);  // "ok", "inconsistent", "revoked"

// nullopt when there is none. kKey "key-state-corrupt" for a file that cannot be read as one.
std::optional<KeyState> load_key_state(const job::JobDirectory& directory);
// Durable and whole, mode 0600.
void save_key_state(const job::JobDirectory& directory, const KeyState& state);

}  // namespace driveprep::keys

// The audit trail of keys: who wrapped, opened, showed and re-wrapped what under which version of
// which key, as events of the journal's hash chain.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/journal/journal.h"
#include "keywrap/condition.h"

namespace driveprep::keys {

// Kinds of event about keys. `drive` of the event is the drive, or empty.
inline constexpr std::string_view kKeyAdopted = "key-adopted";   // first use; details: key, service
inline constexpr std::string_view kKeyChanged = "key-changed";   // details: from, to, reason
inline constexpr std::string_view kRewrapped = "key-rewrapped";  // one envelope
inline constexpr std::string_view kDropped = "key-dropped";      // an old recipient of one envelope
inline constexpr std::string_view kSecretWrapped = "secret-wrapped";
inline constexpr std::string_view kSecretUnwrapped = "secret-unwrapped";
inline constexpr std::string_view kKeyShown = "key-shown";
inline constexpr std::string_view kEnvelopeOpened = "envelope-opened";  // details: key, why

// Adds the user and the machine to the details.
void record(journal::Journal& journal, std::string_view kind, std::string_view drive,
            nlohmann::ordered_json details);
std::string details_text(nlohmann::ordered_json details);

bool is_key_event(const journal::Event& event);

// The service in force when the journal tells of a customer's key: the first one, or the first one
// that never lets a job go back. nullopt when it tells of none.
//
// Whoever could change or remove events could have done so with those that tell of the key. So a
// chain that is broken or cut off, and one that lacks the adoption that JOB/audit-head.json
// remembers, tells of the service that is strictest.
std::optional<keywrap::Profile> customers_profile(const journal::Journal& journal);

}  // namespace driveprep::keys

// The keys that envelopes are under besides the job's own: whether they still open before a change,
// how long they have to stay, when their recipients go (key-wrapping reference, R24, R28 and 6.3).
#pragma once

#include <string>

#include "agent/keys/job_keys.h"
#include "agent/keys/rewrap_envelopes.h"

namespace driveprep::keys {

// How long an old version must stay usable after a change.
inline constexpr UnixSeconds kOverlap = 24 * 3600;

// Whether the old key of the rotation may be dropped. When the clock went backwards the day begins
// anew.
bool may_drop(const Rotation& rotation, UnixSeconds now);

// The key that wraps now, as far as state or envelopes tell; empty when nothing was wrapped yet.
std::string current_kid(const JobKeys& keys);

// An update of the service fails when the old key does not open any more: better before anything
// was changed. Each key that is first over an envelope is tried on one of them, and throws what is
// wrong with it. Nothing is asked of an envelope that `to` is over already: that is the way back.
void require_old_keys(JobKeys& keys, const std::string& to);

// One record for each key besides the current one that envelopes were found under, so that each is
// dropped some day: also versions of the local key that came and went without a re-wrap, and a new
// key that was given up halfway. `old_kid` is the one that was current before; may be empty.
void add_rotations(KeyState& state, const std::string& old_kid, Reason reason,
                   const RewrapCounts& counts, UnixSeconds now);

// Takes the recipients of old keys away whose day is over, where the key in use opens the envelope.
// Returns how many.
std::size_t drop_old_keys(JobKeys& keys, journal::Journal& journal);

// Before envelopes get the recipient `kid`: an envelope that can take no more is freed of old keys
// first. kKey "envelope-recipients", with the time from which it works, when none may go yet.
void make_room(JobKeys& keys, journal::Journal& journal, const std::string& kid);

}  // namespace driveprep::keys

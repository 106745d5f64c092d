// All envelopes of a job brought under one version of a key, or freed of old ones.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/journal/journal.h"
#include "agent/keys/job_keys.h"

namespace driveprep::keys {

// Requests to a vault at a time.
inline constexpr unsigned kRequestsInFlight = 8;

struct RewrapCounts {
  std::size_t envelopes = 0;                 // in the job
  std::size_t rewrapped = 0;                 // now under the new version as well
  std::size_t proven = 0;                    // were under it already; opened with it to be sure
  std::map<std::string, std::size_t> older;  // other keys of theirs, and in how many envelopes
  std::vector<std::string> warnings;         // each once
};

// Called now and then with the number of envelopes that are done.
using RewrapProgress = std::function<void(std::size_t done, std::size_t all)>;

// Each envelope gets the recipient `kid` in front, and keeps those that it has. It is written whole
// or not at all; at every moment each envelope opens with a key that it names. Each one is recorded
// in the journal with digests of what is sealed before and after. When one fails the others that
// are under way are finished, then the first error is thrown: whoever repeats the call goes on.
RewrapCounts rewrap_envelopes(JobKeys& keys, journal::Journal& journal, const std::string& kid,
                              Reason reason, const RewrapProgress& progress = {});

// Takes recipients away for which `droppable` is true, where `kid` opens the envelope. Returns how
// many were taken.
std::size_t drop_recipients(JobKeys& keys, journal::Journal& journal, const std::string& kid,
                            const std::function<bool(const std::string& old_kid)>& droppable);

}  // namespace driveprep::keys

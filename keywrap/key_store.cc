#include "keywrap/key_store.h"

#include <chrono>

#include "base/file_time.h"
#include "keywrap/key_error.h"

namespace driveprep::keywrap {
namespace {

std::string text_of(UnixSeconds seconds) {
  return FileTime::from_timespec({.tv_sec = seconds, .tv_nsec = 0}).iso8601();
}

// A description with a request id is the answer of a vault, and only 200 describes a key.
KeyEvidence evidence_of(const KeyVersion& version) {
  return {.http_status = version.request_id.empty() ? 0 : 200,
          .request_id = version.request_id,
          .kid = version.kid};
}

void require_enabled(const KeyVersion& version) {
  if (version.enabled) return;
  throw KeyError(Condition::kKeyDisabled, "the key " + version.kid + " is disabled",
                 evidence_of(version));
}

}  // namespace

UnixSeconds system_clock_seconds() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch())
      .count();
}

void require_can_wrap(const KeyVersion& version, UnixSeconds now) {
  require_enabled(version);
  if (version.not_before && now < *version.not_before) {
    throw KeyError(
        Condition::kKeyNotYetActive,
        "the key " + version.kid + " may not be used before " + text_of(*version.not_before),
        evidence_of(version));
  }
  if (version.expires && now >= *version.expires) {
    throw KeyError(Condition::kKeyExpired,
                   "the key " + version.kid + " expired at " + text_of(*version.expires),
                   evidence_of(version));
  }
}

std::string require_can_unwrap(const KeyVersion& version, UnixSeconds now) {
  require_enabled(version);
  if (version.not_before && now < *version.not_before) {
    return "the key " + version.kid + " is not active before " + text_of(*version.not_before) +
           "; it was used for reading only";
  }
  if (version.expires && now >= *version.expires) {
    return "the key " + version.kid + " expired at " + text_of(*version.expires) +
           "; it was used for reading only";
  }
  return {};
}

}  // namespace driveprep::keywrap

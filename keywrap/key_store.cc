#include "keywrap/key_store.h"

#include <chrono>

#include "base/file_time.h"
#include "keywrap/key_error.h"

namespace driveprep::keywrap {
namespace {

std::string text_of(UnixSeconds seconds) {
  return FileTime::from_timespec({.tv_sec = seconds, .tv_nsec = 0}).iso8601();
}

void require_enabled(const KeyVersion& version) {
  if (version.enabled) return;
  throw KeyError(Condition::kKeyDisabled, "the key " + version.kid + " is disabled",
                 {.kid = version.kid});
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
        {.kid = version.kid});
  }
  if (version.expires && now >= *version.expires) {
    throw KeyError(Condition::kKeyExpired,
                   "the key " + version.kid + " expired at " + text_of(*version.expires),
                   {.kid = version.kid});
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

#include "base/error.h"

#include <cstring>
#include <utility>

namespace driveprep {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInternal: return "internal";
    case ErrorKind::kUsage: return "usage";
    case ErrorKind::kRefused: return "refused";
    case ErrorKind::kNotConfirmed: return "not-confirmed";
    case ErrorKind::kBusy: return "busy";
    case ErrorKind::kWrite: return "write";
    case ErrorKind::kVerification: return "verification";
    case ErrorKind::kSource: return "source";
    case ErrorKind::kHealth: return "health";
    case ErrorKind::kSomeDrivesFailed: return "some-drives-failed";
    case ErrorKind::kJournalMismatch: return "journal-mismatch";
    case ErrorKind::kKey: return "key";
  }
  return "internal";
}

Error::Error(ErrorKind kind, std::string code, std::string message, std::string remedy)
    : std::runtime_error(std::move(message)),
      kind_(kind),
      code_(std::move(code)),
      remedy_(std::move(remedy)) {}

Error Error::from_errno(ErrorKind kind, std::string code, std::string attempt, int error_number,
                        std::string remedy) {
  char buffer[128];
  const char* text = strerror_r(error_number, buffer, sizeof buffer);
  return Error(kind, std::move(code), attempt + ": " + text, std::move(remedy));
}

void internal_error(std::string message) {
  throw Error(ErrorKind::kInternal, "internal", "internal error: " + message,
              "This is a bug in driveprep: please report it with the log of this run.");
}

}  // namespace driveprep

// The one exception family of driveprep.
//
// An Error tells four things: a stable code for scripts, what was attempted on what and why it
// failed, and what the operator should do now. Its kind decides the exit status of the program.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace driveprep {

// Exit status of the program (documented in docs/exit-codes.md). Values are part of the interface:
// new ones may be added, none changes its meaning.
enum class ErrorKind : int {
  kInternal = 1,          // a bug in driveprep
  kUsage = 2,             // wrong arguments, or a job file that cannot be used
  kRefused = 3,           // a drive was refused by policy
  kNotConfirmed = 4,      // the operator's consent is missing
  kBusy = 5,              // busy, locked, vanished, or not the drive it was
  kWrite = 6,             // write or flush error on the target, or the job directory
  kVerification = 7,      // what was read back differs
  kSource = 8,            // a source could not be read, or changed while it was read
  kHealth = 9,            // the drive is failing or too hot
  kSomeDrivesFailed = 10, // several drives, some failed; each has a code of its own
  kJournalMismatch = 11,  // the journal belongs to something else: no resume
  kKey = 12,              // a key could not be made, wrapped, stored or used
};

// The name of a kind as printed in JSON: "usage", "refused", ...
std::string_view to_string(ErrorKind kind);

class Error : public std::runtime_error {
 public:
  // `code`: stable, lower case, words joined by '-', for example "csv-unknown-column".
  // `message`: one sentence with the object, the numbers and the cause; no secrets.
  // `remedy`: one imperative sentence for the operator; may be empty.
  Error(ErrorKind kind, std::string code, std::string message, std::string remedy = {});

  // For a failed system call: appends the text of `error_number` to `attempt`, for example
  // "open disk0.img for writing".
  static Error from_errno(ErrorKind kind, std::string code, std::string attempt, int error_number,
                          std::string remedy = {});

  ErrorKind kind() const { return kind_; }
  const std::string& code() const { return code_; }
  const std::string& remedy() const { return remedy_; }

 private:
  ErrorKind kind_;
  std::string code_;
  std::string remedy_;
};

// Throws an internal error: a promise of our own code was broken. Always checked, in release too.
[[noreturn]] void internal_error(std::string message);

inline void require(bool condition, const char* message) {
  if (!condition) internal_error(message);
}

}  // namespace driveprep

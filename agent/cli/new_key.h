// Keys that were just made for a volume, on their way to the operator.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "agent/cli/secret_output.h"
#include "base/guid.h"
#include "base/secret_bytes.h"
#include "bitlocker/external_key.h"
#include "bitlocker/recovery_password.h"

namespace driveprep::cli {

// Where new keys go, as --output names it: a new file, a directory for <ID>.txt and <ID>.BEK, or
// standard output ("-" or nothing), which takes recovery passwords only, and none with --json.
struct KeyOutput {
  std::filesystem::path path;
  bool json = false;

  // Whether it takes a key of this kind. Throws kUsage "output-needed".
  void check_recovery_password() const;
  void check_external_key() const;
  bool is_directory() const { return std::filesystem::is_directory(path); }
};

class NewKey {
 public:
  NewKey(const bitlocker::RecoveryPassword& password, const Guid& protector,
         const KeyOutput& output);
  NewKey(bitlocker::ExternalKeyFile key, const KeyOutput& output);

  // Once: before the volume has the key, because it must not get lost. Throws as SecretFile does.
  void hand_out();
  // From here on the key may be the one that opens what is on the drive, even if a write fails:
  // without this its file is removed again.
  void keep();
  // Where it went; nothing when that is standard output.
  std::optional<std::filesystem::path> file() const;

 private:
  SecretBytes content_;
  std::filesystem::path path_;  // empty: standard output
  std::unique_ptr<SecretFile> file_;
};

// A new password: the content of `file`, or asked for twice on the terminal when that is empty.
// Throws kNotConfirmed "passwords-differ" and as volume::read_key_text() does.
SecretBytes read_new_password(const std::string& file);

}  // namespace driveprep::cli

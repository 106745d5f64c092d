// Reads the keys of volumes from where they may come from: a file, standard input, or the terminal.
// Never from an argument or the environment.
#pragma once

#include <filesystem>
#include <string>

#include "base/secret_bytes.h"
#include "bitlocker/open.h"

namespace driveprep::volume {

// The content of `path`, "-" being standard input; any file descriptor can be named as
// /dev/fd/N. At most 4 KiB. Throws kKey "key-file".
SecretBytes read_key_file(const std::filesystem::path& path);
// Takes off one line end, "\n" or "\r\n", if there is one.
void drop_line_end(SecretBytes& text);
// As read_key_file(), without the line end behind it.
SecretBytes read_key_text(const std::filesystem::path& path);

bitlocker::RecoveryPassword read_recovery_password(const std::filesystem::path& path);

// Asks on the terminal of this process, without showing what is typed. Throws kUsage "key-missing"
// when there is no terminal, and kNotConfirmed "key-not-given" for an empty answer.
SecretBytes ask_secret(const std::string& question);
// What was typed: digits with hyphens and blanks between them are a recovery password if there are
// about as many as it has (which may be told to be wrong), anything else is a password.
bitlocker::Credential credential_from_typed(SecretBytes typed);

}  // namespace driveprep::volume

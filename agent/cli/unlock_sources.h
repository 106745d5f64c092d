// Where this process gets the unlock secret of a key store from when the store's own file is not
// the place: the service manager, a descriptor, the operator.
#pragma once

#include <string>

#include "base/secret_bytes.h"
#include "keywrap/unlock_secret.h"

namespace driveprep::cli {

// In this order: the file driveprep-unlock in $CREDENTIALS_DIRECTORY; the descriptor whose number
// is in $DRIVEPREP_UNLOCK_FD; the terminal. A passphrase is read or asked for once a process.
// Without any of them a store with a passphrase is kKey "key-store-locked-out".
keywrap::UnlockSources unlock_sources();

// A new passphrase: the line in `file` ("-": standard input), or asked for twice when that is
// empty. Throws kNotConfirmed "passwords-differ" and what volume::read_key_text() throws.
SecretBytes new_passphrase(const std::string& file);

}  // namespace driveprep::cli

// The files and descriptors that credentials come from.
#pragma once

#include <filesystem>

#include "base/secret_bytes.h"

namespace driveprep::keywrap::identity {

// The content of a file that holds a credential, without white space at its end. Throws KeyError
// kCredentialInvalid, also when it is empty or longer than 64 KiB.
//   kOwnerOnly   must be a regular file of the user who runs this, closed to group and others
//   kProjected   as an orchestrator puts it there: through links, readable for a group
//
// /dev/fd/N, /proc/self/fd/N and /dev/stdin are descriptors that whoever started this has opened: a
// pipe, or a file that is not judged again. One is read to its end, once; what was read stays in
// SecretBytes as long as the process, for a credential is needed whenever a token has expired.
enum class FileRule { kOwnerOnly, kProjected };
SecretBytes read_credential(const std::filesystem::path& file, FileRule rule);

}  // namespace driveprep::keywrap::identity

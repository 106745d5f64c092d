// A secret that another program hands over on a descriptor: a file, a pipe, a socket.
#pragma once

#include <cstddef>

#include "base/secret_bytes.h"

namespace driveprep::cli {

// kUsage "secret-descriptor" for one that is not open, or open for writing only. To be called while
// it can be told from descriptors that this program opens for itself.
void require_readable_secret(int descriptor);

// The bytes as they are, up to the end or `limit` of them; waits for those of a descriptor that
// does not block. kUsage "secret-descriptor" when reading fails.
SecretBytes read_secret_bytes(int descriptor, std::size_t limit);

}  // namespace driveprep::cli

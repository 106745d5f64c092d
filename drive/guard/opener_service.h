// The side of the opener process that opens: requests come in over one socket, and the answer to
// each goes out over the socket that came with it.
//
// A disk that hangs holds up whoever asked for it and nobody else: every request has a thread.
#pragma once

#include <memory>

#include "drive/guard/disk_opener.h"

namespace driveprep::guard {

// Returns when the other end of `socket` is closed; what has not been answered by then is not
// waited for. What is refused, whoever asks: opener_process.h.
void serve_opener(int socket, const std::shared_ptr<DiskOpener>& opener);

}  // namespace driveprep::guard

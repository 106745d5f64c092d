// The only part of a run that keeps root's rights: a small process that opens disks, asks them for
// their own pages and tells the kernel of a new table, and does nothing else. The rest, with all
// sources, keys, network and files, runs as the user who called.
//
// An exclusive open belongs to the open file: it holds on, in the hands of the worker. Beside it
// goes a second description of that very open disk, past the page cache; writing through it lives
// by the first one's claim. What the opener refuses, whoever asks: anything that is no whole disk's
// own node in /dev, and any descriptor for writing without the claim.
#pragma once

#include <memory>

#include "drive/guard/disk_opener.h"

namespace driveprep::guard {

// Starts the process by a fork: to be called before there are threads, secrets or open files. It
// ends when the returned opener does, or with the calling process. The opener may be used by
// several threads at once: remote_opener.h. Throws kInternal "opener-lost".
std::unique_ptr<DiskOpener> start_opener_process();

}  // namespace driveprep::guard

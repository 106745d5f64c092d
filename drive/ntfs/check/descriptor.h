// Security descriptors, as attributes hold them. Internal.
#pragma once

#include "base/bytes.h"

namespace driveprep::ntfs::check {

// Throws FormatError unless `descriptor` is self-relative and its owner, group and lists of access
// rights are well-formed and inside of it.
void check_descriptor(ByteView descriptor);

}  // namespace driveprep::ntfs::check

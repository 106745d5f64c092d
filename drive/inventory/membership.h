// Whether what lies on a disk is a part of something larger: an array, a volume group, a pool, a
// cache, a journal kept apart, a file system of several disks or of several machines. Whoever wipes
// such a disk loses more than what is on it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "drive/inventory/signatures.h"

namespace driveprep::inventory {

// What the content belongs to, in words: "LVM2_member", "btrfs of 3 devices"; nullopt for what
// stands alone. What libblkid files under no kind of use is taken for a part, unless it is known to
// be none. `fd`: of the disk, open for reading. Throws kBusy when a btrfs cannot be read.
std::optional<std::string> larger_whole(int fd, const Signature& signature,
                                        const std::string& name);

// The same by the type of a partition, for what leaves no mark that libblkid knows; see
// Partition::type.
std::optional<std::string_view> larger_whole(std::string_view partition_type);

}  // namespace driveprep::inventory

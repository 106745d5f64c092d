#include "drive/block/discard.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>

namespace driveprep::block {

void discard(FileDevice& disk, const ByteRange& range) {
  check_range(disk, range.offset, range.length, "discard");
  std::array<std::uint64_t, 2> place = {range.offset, range.length};
  if (::ioctl(disk.fd(), BLKDISCARD, place.data()) == 0) return;
  throw Error::from_errno(ErrorKind::kWrite, "discard-failed",
                          "discard " + std::to_string(range.length) + " bytes at offset " +
                              std::to_string(range.offset) + " of " + disk.name(),
                          errno, "Use another method: --method overwrite.");
}

}  // namespace driveprep::block

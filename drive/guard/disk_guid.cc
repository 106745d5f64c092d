#include "drive/guard/disk_guid.h"

#include <fcntl.h>

#include <cerrno>

#include "base/error.h"
#include "drive/block/file_device.h"
#include "drive/layout/gpt.h"

namespace driveprep::guard {

std::string disk_guid_of(int fd, const std::string& name, std::uint64_t size, SectorSize sector) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) {
    throw Error::from_errno(ErrorKind::kBusy, "open-failed", "open " + name + " again", errno);
  }
  const block::FileDevice device(std::move(copy), name, size, sector, block::PageCache::kUse);
  try {
    return layout::read_gpt(device).disk_guid.lower();
  } catch (const Error& error) {
    if (error.code() == "gpt-invalid") return {};
    throw;
  }
}

}  // namespace driveprep::guard

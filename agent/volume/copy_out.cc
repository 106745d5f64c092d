#include "agent/volume/copy_out.h"

#include <algorithm>

#include "agent/volume/file_names.h"
#include "base/posix.h"
#include "drive/block/aligned_buffer.h"

namespace driveprep::volume {
namespace {

constexpr std::uint64_t kStep = 4 * kMiB;

}  // namespace

std::uint64_t copy_out(ntfs::FileTree& tree, std::string_view path, int fd,
                       const std::string& fd_name,
                       const std::function<void(std::uint64_t)>& on_bytes) {
  const ntfs::Found found = find_or_throw(tree, path);
  const auto file = tree.open(found.entry, found.path);
  const std::uint64_t size = file->size();
  block::AlignedBuffer buffer(std::min(size, kStep));
  for (std::uint64_t at = 0; at < size;) {
    const MutableByteView part = buffer.span().first(std::min(kStep, size - at));
    file->read(at, part);
    posix::write_all(fd, part, fd_name, ErrorKind::kWrite);
    at += part.size();
    if (on_bytes) on_bytes(part.size());
  }
  return size;
}

}  // namespace driveprep::volume

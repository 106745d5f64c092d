#include "drive/block/remembering_device.h"

#include "drive/block/aligned_buffer.h"

namespace driveprep::block {
namespace {

constexpr std::uint64_t kLargestRead = kMiB;

}  // namespace

void RememberingDevice::write(std::uint64_t offset, ByteView data) {
  device_.write(offset, data);
  const std::size_t sector = sector_size().bytes();
  const std::scoped_lock lock(mutex_);
  for (std::size_t at = 0; at < data.size(); at += sector) {
    sectors_[offset + at] = md5(data.subspan(at, sector));
  }
}

std::optional<std::uint64_t> RememberingDevice::first_difference() const {
  const std::size_t sector = sector_size().bytes();
  const std::scoped_lock lock(mutex_);
  AlignedBuffer buffer(kLargestRead);
  for (auto run = sectors_.begin(); run != sectors_.end();) {
    const std::uint64_t begin = run->first;
    auto end = run;
    std::uint64_t length = 0;
    while (end != sectors_.end() && end->first == begin + length && length < kLargestRead) {
      length += sector;
      ++end;
    }
    const MutableByteView found = buffer.span().first(length);
    device_.read(begin, found);
    for (; run != end; ++run) {
      const ByteView one = ByteView(found).subspan(run->first - begin, sector);
      if (md5(one) != run->second) return run->first;
    }
  }
  return std::nullopt;
}

}  // namespace driveprep::block

#include "drive/block/memory_device.h"

#include <algorithm>

namespace driveprep::block {

MemoryDevice::MemoryDevice(std::uint64_t size, SectorSize sector, std::string name)
    : size_(size), sector_(sector), name_(std::move(name)) {}

void MemoryDevice::read(std::uint64_t offset, MutableByteView out) const {
  check_range(*this, offset, out.size(), "read");
  std::scoped_lock lock(mutex_);
  for (std::size_t done = 0; done < out.size();) {
    const std::uint64_t at = offset + done;
    const std::size_t in_page = at % kPage;
    const std::size_t count = std::min<std::size_t>(kPage - in_page, out.size() - done);
    const auto page = pages_.find(at / kPage);
    if (page == pages_.end()) {
      std::fill_n(out.begin() + done, count, std::byte{0});
    } else {
      std::copy_n(page->second.begin() + in_page, count, out.begin() + done);
    }
    done += count;
  }
}

void MemoryDevice::write(std::uint64_t offset, ByteView data) {
  check_range(*this, offset, data.size(), "write");
  std::scoped_lock lock(mutex_);
  if (before_write) before_write(writes_, offset, data);
  ++writes_;
  for (std::size_t done = 0; done < data.size();) {
    const std::uint64_t at = offset + done;
    const std::size_t in_page = at % kPage;
    const std::size_t count = std::min<std::size_t>(kPage - in_page, data.size() - done);
    Bytes& page = pages_[at / kPage];
    page.resize(kPage);
    std::copy_n(data.begin() + done, count, page.begin() + in_page);
    done += count;
  }
}

void MemoryDevice::flush() {}

}  // namespace driveprep::block

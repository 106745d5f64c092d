#include "drive/block/block_device.h"

#include <utility>

namespace driveprep::block {

void check_range(const ReadableDevice& device, std::uint64_t offset, std::uint64_t length,
                 const char* operation) {
  if (offset <= device.size() && length <= device.size() - offset) return;
  throw Error(ErrorKind::kInternal, "past-end",
              std::string(operation) + " " + std::to_string(length) + " bytes at offset " +
                  std::to_string(offset) + " of " + device.name() + ", which has " +
                  std::to_string(device.size()) + " bytes");
}

ReadableSlice::ReadableSlice(const ReadableDevice& device, ByteRange range, std::string name)
    : device_(device), range_(range), name_(std::move(name)) {
  check_range(device, range.offset, range.length, "take a slice of");
}

void ReadableSlice::read(std::uint64_t offset, MutableByteView out) const {
  check_range(*this, offset, out.size(), "read");
  device_.read(range_.offset + offset, out);
}

Slice::Slice(BlockDevice& device, ByteRange range, std::string name)
    : device_(device), range_(range), name_(std::move(name)) {
  check_range(device, range.offset, range.length, "take a slice of");
}

void Slice::read(std::uint64_t offset, MutableByteView out) const {
  check_range(*this, offset, out.size(), "read");
  device_.read(range_.offset + offset, out);
}

void Slice::write(std::uint64_t offset, ByteView data) {
  check_range(*this, offset, data.size(), "write");
  device_.write(range_.offset + offset, data);
}

}  // namespace driveprep::block

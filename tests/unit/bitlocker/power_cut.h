// A power cut in the middle of writing.
#pragma once

#include <algorithm>
#include <string>

#include "drive/block/block_device.h"

namespace driveprep::bitlocker {

// Which sectors of the last write reach the medium: a drive writes them in any order.
struct Torn {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

// Lets a number of writes pass; of the next one only some sectors reach the medium, and it throws
// kWrite "power-cut".
class PowerCut : public block::BlockDevice {
 public:
  PowerCut(block::BlockDevice& device, std::size_t writes, Torn torn)
      : device_(device), left_(writes), torn_(torn) {}

  std::uint64_t size() const override { return device_.size(); }
  SectorSize sector_size() const override { return device_.sector_size(); }
  std::string name() const override { return device_.name(); }
  void read(std::uint64_t offset, MutableByteView out) const override { device_.read(offset, out); }
  void write(std::uint64_t offset, ByteView data) override {
    if (left_ == 0) {
      const std::uint64_t sector = sector_size().bytes();
      const std::uint64_t begin = std::min<std::uint64_t>(torn_.first * sector, data.size());
      const std::uint64_t length =
          std::min<std::uint64_t>(torn_.count * sector, data.size() - begin);
      if (length > 0) device_.write(offset + begin, data.subspan(begin, length));
      throw Error(ErrorKind::kWrite, "power-cut", "the power is gone");
    }
    --left_;
    device_.write(offset, data);
  }
  void flush() override { device_.flush(); }

 private:
  block::BlockDevice& device_;
  std::size_t left_;
  Torn torn_;
};

}  // namespace driveprep::bitlocker

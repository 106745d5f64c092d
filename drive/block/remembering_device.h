// A device that remembers what was written through it, to see whether it is still there: for what
// no reader would miss, like a bitmap of a file system.
#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "base/digest.h"
#include "drive/block/block_device.h"

namespace driveprep::block {

// Keeps a digest of every sector written: about 80 bytes of memory each.
class RememberingDevice : public BlockDevice {
 public:
  // `device` must outlive this; nobody else writes to the same places.
  explicit RememberingDevice(BlockDevice& device) : device_(device) {}

  std::uint64_t size() const override { return device_.size(); }
  SectorSize sector_size() const override { return device_.sector_size(); }
  std::string name() const override { return device_.name(); }
  void read(std::uint64_t offset, MutableByteView out) const override { device_.read(offset, out); }
  void write(std::uint64_t offset, ByteView data) override;
  void flush() override { device_.flush(); }

  // Reads all of it again. Where the first sector is, as a byte offset, that does not hold what was
  // written last; nullopt when all do. Call flush() before.
  std::optional<std::uint64_t> first_difference() const;

 private:
  BlockDevice& device_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Md5> sectors_;  // by offset
};

}  // namespace driveprep::block

// A device in memory, for tests and for building small volumes: sparse, fails on request.
#pragma once

#include <functional>
#include <map>
#include <mutex>

#include "drive/block/block_device.h"

namespace driveprep::block {

// Holds 64 KiB pages that were written; the rest reads as zeros.
class MemoryDevice : public BlockDevice {
 public:
  explicit MemoryDevice(std::uint64_t size, SectorSize sector = SectorSize(512),
                        std::string name = "memory disk");

  std::uint64_t size() const override { return size_; }
  SectorSize sector_size() const override { return sector_; }
  std::string name() const override { return name_; }
  void read(std::uint64_t offset, MutableByteView out) const override;
  void write(std::uint64_t offset, ByteView data) override;
  void flush() override;

  // Called before each write with its running number (from 0); may throw to simulate a failure.
  std::function<void(std::uint64_t number, std::uint64_t offset, ByteView data)> before_write;

 private:
  static constexpr std::uint64_t kPage = 64 * 1024;

  std::uint64_t size_;
  SectorSize sector_;
  std::string name_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Bytes> pages_;
  std::uint64_t writes_ = 0;
};

}  // namespace driveprep::block

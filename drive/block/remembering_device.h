// A device that remembers what was written through it, to see whether it is still there: for what
// no reader would miss, like a bitmap of a file system.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

#include "drive/block/block_device.h"

namespace driveprep::block {

// Keeps a digest of every block of 4 KiB that was written, about 11 bytes each where many lie side
// by side; where a write covers a block in part, of its sectors, and what was remembered of the
// rest of that block is forgotten. Of 64 bits, because what is looked for is a drive that errs, not
// one that forges.
class RememberingDevice : public BlockDevice {
 public:
  // `device` must outlive this; nobody else writes to the same places.
  explicit RememberingDevice(BlockDevice& device) : device_(device), bulk_(*this) {}
  RememberingDevice(const RememberingDevice&) = delete;
  RememberingDevice& operator=(const RememberingDevice&) = delete;

  std::uint64_t size() const override { return device_.size(); }
  SectorSize sector_size() const override { return device_.sector_size(); }
  std::string name() const override { return device_.name(); }
  void read(std::uint64_t offset, MutableByteView out) const override { device_.read(offset, out); }
  void write(std::uint64_t offset, ByteView data) override;
  void flush() override { device_.flush(); }

  // For data that is checked by other means: what is written through this is not remembered, and
  // what was remembered of its places is forgotten.
  BlockDevice& unremembered() { return bulk_; }

  // Reads all of it again. Where the first block or sector is, as a byte offset, that does not hold
  // what was written last; nullopt when all do. Call flush() before. `device`: the same one by
  // another way, say past the page cache.
  std::optional<std::uint64_t> first_difference(const ReadableDevice& device) const;
  std::optional<std::uint64_t> first_difference() const { return first_difference(device_); }

  // What was written until now is no longer remembered.
  void forget();

 private:
  class Bulk final : public BlockDevice {
   public:
    explicit Bulk(RememberingDevice& memory) : memory_(memory) {}
    std::uint64_t size() const override { return memory_.size(); }
    SectorSize sector_size() const override { return memory_.sector_size(); }
    std::string name() const override { return memory_.name(); }
    void read(std::uint64_t offset, MutableByteView out) const override {
      memory_.read(offset, out);
    }
    void write(std::uint64_t offset, ByteView data) override;
    void flush() override { memory_.flush(); }

   private:
    RememberingDevice& memory_;
  };
  static constexpr std::uint64_t kBlock = 4 * kKiB;
  static constexpr std::uint64_t kPage = 16 * kBlock;
  // Digests of the blocks of a page; 0 for one that was not written as a whole.
  using Page = std::array<std::uint64_t, kPage / kBlock>;
  using Sectors = std::map<std::uint64_t, std::uint64_t>;

  void keep_blocks(std::uint64_t offset, ByteView data);
  void keep_sectors(std::uint64_t offset, ByteView data);
  void forget(const ByteRange& range);  // under the mutex
  std::optional<std::uint64_t> lost_block(const ReadableDevice& device) const;
  std::optional<std::uint64_t> lost_sector(const ReadableDevice& device) const;

  BlockDevice& device_;
  Bulk bulk_;
  mutable std::mutex mutex_;
  // By offset.
  std::map<std::uint64_t, Page> pages_;
  Sectors sectors_;
};

}  // namespace driveprep::block

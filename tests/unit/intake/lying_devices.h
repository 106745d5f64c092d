// Devices that are not what they say, in memory.
#pragma once

#include <list>
#include <unordered_map>

#include "drive/block/memory_device.h"

namespace driveprep::intake::test {

// Takes every request and hands it to a memory device; what is built on it lies.
class Wrapped : public block::BlockDevice {
 public:
  explicit Wrapped(std::uint64_t size, SectorSize sector = SectorSize(512))
      : memory(size, sector, "lying disk") {}

  std::uint64_t size() const override { return memory.size(); }
  SectorSize sector_size() const override { return memory.sector_size(); }
  std::string name() const override { return memory.name(); }
  void read(std::uint64_t offset, MutableByteView out) const override { memory.read(offset, out); }
  void write(std::uint64_t offset, ByteView data) override { memory.write(offset, data); }
  void flush() override { memory.flush(); }

  mutable block::MemoryDevice memory;

 protected:
  // Sector by sector: `each(offset, where it begins in the buffer)`.
  template <typename Each>
  void by_sector(std::uint64_t offset, std::size_t length, Each each) const {
    for (std::size_t at = 0; at < length; at += sector_size().bytes()) each(offset + at, at);
  }
};

// Has `real` bytes and forgets the upper address lines.
class WrappingDevice : public Wrapped {
 public:
  WrappingDevice(std::uint64_t size, std::uint64_t real) : Wrapped(size), real_(real) {}
  void read(std::uint64_t offset, MutableByteView out) const override {
    by_sector(offset, out.size(), [&](std::uint64_t sector, std::size_t at) {
      memory.read(sector % real_, out.subspan(at, sector_size().bytes()));
    });
  }
  void write(std::uint64_t offset, ByteView data) override {
    by_sector(offset, data.size(), [&](std::uint64_t sector, std::size_t at) {
      memory.write(sector % real_, data.subspan(at, sector_size().bytes()));
    });
  }

 private:
  std::uint64_t real_;
};

// Loses what is written beyond `real`, but for the last `cached` sectors, which it keeps as f3 has
// seen counterfeit drives do.
class LimitedDevice : public Wrapped {
 public:
  LimitedDevice(std::uint64_t size, std::uint64_t real, std::size_t cached = 0,
                SectorSize sector = SectorSize(512))
      : Wrapped(size, sector), real_(real), cached_(cached) {}

  void read(std::uint64_t offset, MutableByteView out) const override {
    by_sector(offset, out.size(), [&](std::uint64_t sector, std::size_t at) {
      const MutableByteView one = out.subspan(at, sector_size().bytes());
      if (const auto kept = cache_.find(sector); sector >= real_ && kept != cache_.end()) {
        std::ranges::copy(kept->second, one.begin());
      } else {
        memory.read(sector, one);
      }
    });
  }
  void write(std::uint64_t offset, ByteView data) override {
    by_sector(offset, data.size(), [&](std::uint64_t sector, std::size_t at) {
      const ByteView one = data.subspan(at, sector_size().bytes());
      if (sector < real_) {
        memory.write(sector, one);
      } else if (cached_ > 0) {
        keep(sector, one);
      }
    });
  }

 private:
  void keep(std::uint64_t sector, ByteView data) {
    if (!cache_.contains(sector)) order_.push_back(sector);
    cache_[sector] = Bytes(data.begin(), data.end());
    if (order_.size() > cached_) {
      cache_.erase(order_.front());
      order_.pop_front();
    }
  }

  std::uint64_t real_;
  std::size_t cached_;
  std::unordered_map<std::uint64_t, Bytes> cache_;
  std::list<std::uint64_t> order_;
};

// Returns one bit changed.
class FlippingDevice : public Wrapped {
 public:
  FlippingDevice(std::uint64_t size, std::uint64_t at) : Wrapped(size), at_(at) {}
  void read(std::uint64_t offset, MutableByteView out) const override {
    memory.read(offset, out);
    if (offset <= at_ && at_ < offset + out.size()) out[at_ - offset] ^= std::byte{0x20};
  }

 private:
  std::uint64_t at_;
};

// Cannot read a range.
class UnreadableDevice : public Wrapped {
 public:
  UnreadableDevice(std::uint64_t size, ByteRange bad) : Wrapped(size), bad_(bad) {}
  void read(std::uint64_t offset, MutableByteView out) const override {
    if (bad_.overlaps({offset, out.size()})) {
      throw Error(ErrorKind::kWrite, "read-failed", "Input/output error");
    }
    memory.read(offset, out);
  }

 private:
  ByteRange bad_;
};

}  // namespace driveprep::intake::test

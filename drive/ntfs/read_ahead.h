// A bounded read cache for metadata. Reads go past the page cache and are costly when small, so they
// are made in pieces of 64 KiB, and in pieces of 1 MiB where they are sequential. Internal.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>

#include "drive/block/aligned_buffer.h"
#include "drive/block/block_device.h"
#include "drive/ntfs/library.h"

namespace driveprep::ntfs {

class ReadAhead : public library::Storage {
 public:
  static constexpr std::size_t kPiece = 64 * kKiB;
  static constexpr std::size_t kSequential = 16;     // pieces read at once
  static constexpr std::size_t kCapacity = 256;      // pieces kept: 16 MiB

  explicit ReadAhead(const block::ReadableDevice& device);

  std::uint64_t size() const override { return device_.size(); }
  void read(std::uint64_t offset, MutableByteView out) override;
  void write(std::uint64_t offset, ByteView data) override;  // an internal error

 private:
  struct Piece {
    std::uint64_t number = 0;
    Bytes data;
  };
  using List = std::list<Piece>;  // most recently used first

  const Bytes& piece(std::uint64_t number);

  const block::ReadableDevice& device_;
  block::AlignedBuffer window_;
  List pieces_;
  std::unordered_map<std::uint64_t, List::iterator> places_;
};

}  // namespace driveprep::ntfs

// The write-back cache between the NTFS library and the device: what the device may already refer
// to reaches it only in flush(), everything at once; the rest may go ahead.
//
// The library reads and writes single bytes of bitmaps and indexes; 844 000 of its writes for
// 100 000 files become about 200 device writes. Blocks are 4096 bytes, so that clusters of data and
// of metadata never share one (clusters are at least as large).
//
// A block is dirty (changed since the last flush), pinned (flushed or gone ahead, but the device
// below may still show the old content until settle()), or clean. Only clean blocks are ever
// dropped, the least recently used first. A block filled with one byte value costs no memory for
// its content: the $Bitmap of a 16 TB volume that one file fills is 488 MB of 0xFF.
#pragma once

#include <array>
#include <cstdint>
#include <memory_resource>
#include <unordered_map>
#include <vector>

#include "drive/block/aligned_buffer.h"
#include "drive/block/block_device.h"
#include "drive/ntfs/data_sink.h"
#include "drive/ntfs/fresh_blocks.h"
#include "drive/ntfs/interval_set.h"

namespace driveprep::ntfs {

class BlockCache {
 public:
  static constexpr std::size_t kBlock = 4096;

  // Keeps about `cap` bytes of clean blocks. `device` must outlive this.
  BlockCache(block::BlockDevice& device, std::uint64_t cap);
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  std::uint64_t size() const { return device_size_; }
  void read(std::uint64_t offset, MutableByteView out);
  void write(std::uint64_t offset, ByteView data);

  // Says that `range` (whole blocks) is free: until a block of it is written it reads as zeros,
  // which spares a read for every block that $MFT grows into, and until its first flush it may go
  // ahead.
  void set_fresh(ByteRange range);

  // Drops every block of `range`, dirty ones too: the range now belongs to the data path.
  void forget(ByteRange range);

  // Memory the next flush() will write, in bytes.
  std::uint64_t dirty_bytes() const { return dirty_count_ * kBlock; }
  std::uint64_t memory_bytes() const { return stored_count_ * kBlock; }

  // Hands the dirty blocks that no flush has written yet to `sink`, in long runs, each block once,
  // and pins them: no redo log has to hold what nothing on the device refers to. `forbidden`: as in
  // flush().
  void write_ahead(const IntervalSet& forbidden, DataSink& sink);
  // What write_ahead() would hand over, about.
  std::uint64_t waiting_bytes() const { return (waiting_.size() - left_waiting_) * kBlock; }
  // The sink has written everything: unpins what has gone ahead, and drops blocks down to the cap.
  void settle_ahead();
  std::uint64_t ahead_bytes() const { return ahead_.size() * kBlock; }

  // Writes all dirty blocks in ascending order, neighbours joined up to 1 MiB, and pins them.
  // A dirty block inside `forbidden` is an internal error, raised before the first write.
  void flush(const IntervalSet& forbidden);
  // The device has the content of the last flush: unpins, and drops blocks down to the cap.
  void settle();

 private:
  struct Block {
    std::byte* data = nullptr;  // from pool_; null: all bytes are `fill`
    std::byte fill{0};
    bool dirty = false;
    bool pinned = false;
    std::uint64_t used = 0;
  };
  using Map = std::unordered_map<std::uint64_t, Block>;

  Block* find(std::uint64_t number);
  Block& load(std::uint64_t number);
  Block& insert(std::uint64_t number);
  void erase(Map::iterator at);
  void mark_dirty(std::uint64_t number, Block& block);
  void new_content(Block& block);
  std::byte* materialise(Block& block);
  // Its bytes at `to`; the number of them.
  std::size_t copy_block(std::uint64_t number, std::byte* to) const;
  void keep_dirty(std::vector<std::uint64_t>& numbers, const IntervalSet& forbidden) const;
  void unpin(std::vector<std::uint64_t>& numbers);
  void release_content(Block& block);
  std::size_t block_length(std::uint64_t number) const;
  void evict_to(std::uint64_t bytes);

  block::BlockDevice& device_;
  const std::uint64_t device_size_;
  const std::uint64_t cap_;
  // Blocks come and go in great numbers; the general allocator would ask the system for each page.
  std::pmr::unsynchronized_pool_resource pool_;
  Map blocks_;
  std::vector<std::uint64_t> dirty_;  // numbers that became dirty; some may be gone since
  std::vector<std::uint64_t> pinned_;
  FreshBlocks fresh_;
  std::vector<std::uint64_t> waiting_;  // became dirty, and were unreferenced then
  std::size_t left_waiting_ = 0;        // of them: too short a run the last time
  std::vector<std::uint64_t> ahead_;    // gone ahead since settle_ahead()
  std::uint64_t dirty_count_ = 0;
  std::uint64_t stored_count_ = 0;  // blocks with content in memory
  std::uint64_t clock_ = 0;
  block::AlignedBuffer window_;
  // The last blocks touched, by the low bits of their number: most accesses repeat.
  struct Recent {
    std::uint64_t number = ~std::uint64_t{0};
    Block* block = nullptr;
  };
  std::array<Recent, 256> recent_;
};

}  // namespace driveprep::ntfs

#include "drive/ntfs/block_cache.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace driveprep::ntfs {
namespace {

constexpr std::uint64_t kReadWindow = 64 * kKiB;
constexpr std::uint64_t kWriteWindow = 1 * kMiB;

bool uniform(ByteView data) {
  // The last byte is compared first: most blocks that are not uniform differ there.
  return data.front() == data.back() &&
         std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0;
}

}  // namespace

BlockCache::BlockCache(block::BlockDevice& device, std::uint64_t cap)
    : device_(device),
      device_size_(device.size()),
      cap_(cap),
      pool_({.max_blocks_per_chunk = kMiB / kBlock, .largest_required_pool_block = kBlock}),
      window_(kWriteWindow) {}

std::size_t BlockCache::block_length(std::uint64_t number) const {
  return static_cast<std::size_t>(
      std::min<std::uint64_t>(kBlock, device_size_ - number * kBlock));
}

BlockCache::Block* BlockCache::find(std::uint64_t number) {
  Recent& recent = recent_[number % recent_.size()];
  if (recent.number != number) {
    const auto at = blocks_.find(number);
    if (at == blocks_.end()) return nullptr;
    recent = {number, &at->second};
  }
  recent.block->used = ++clock_;
  return recent.block;
}

BlockCache::Block& BlockCache::insert(std::uint64_t number) {
  Block& block = blocks_[number];
  block.used = ++clock_;
  return block;
}

void BlockCache::erase(Map::iterator at) {
  Recent& recent = recent_[at->first % recent_.size()];
  if (recent.number == at->first) recent = {};
  if (at->second.dirty) --dirty_count_;
  release_content(at->second);
  blocks_.erase(at);
}

void BlockCache::release_content(Block& block) {
  if (block.data == nullptr) return;
  pool_.deallocate(block.data, kBlock);
  block.data = nullptr;
  --stored_count_;
}

void BlockCache::new_content(Block& block) {
  block.data = static_cast<std::byte*>(pool_.allocate(kBlock));
  ++stored_count_;
}

std::byte* BlockCache::materialise(Block& block) {
  if (block.data == nullptr) {
    new_content(block);
    std::memset(block.data, std::to_integer<int>(block.fill), kBlock);
  }
  return block.data;
}

bool BlockCache::is_fresh(std::uint64_t number) const {
  for (const Fresh& fresh : fresh_) {
    const std::uint64_t at = number - fresh.first;
    if (number >= fresh.first && at < fresh.written.size()) return !fresh.written[at];
  }
  return false;
}

void BlockCache::mark_written(std::uint64_t number) {
  for (Fresh& fresh : fresh_) {
    const std::uint64_t at = number - fresh.first;
    if (number >= fresh.first && at < fresh.written.size()) fresh.written[at] = true;
  }
}

void BlockCache::set_fresh(ByteRange range) {
  if (range.length == 0) return;
  require(range.offset % kBlock == 0 && range.length % kBlock == 0,
          "a fresh range is not whole blocks");
  fresh_.push_back({range.offset / kBlock, std::vector<bool>(range.length / kBlock)});
}

// Reads the block, and what lies around it, from the device.
BlockCache::Block& BlockCache::load(std::uint64_t number) {
  if (is_fresh(number)) return insert(number);

  const std::uint64_t begin = round_down(number * kBlock, kReadWindow);
  const std::uint64_t end = std::min(begin + kReadWindow, device_size_);
  const MutableByteView window = window_.span().first(end - begin);
  device_.read(begin, window);
  if ((stored_count_ - std::min(stored_count_, dirty_count_ + pinned_.size())) * kBlock > cap_) {
    evict_to(cap_ / 4 * 3);
  }
  for (std::uint64_t at = begin; at < end; at += kBlock) {
    const std::uint64_t n = at / kBlock;
    if (blocks_.contains(n) || is_fresh(n)) continue;
    Block& block = insert(n);
    const std::size_t length = block_length(n);
    new_content(block);
    std::memcpy(block.data, window.data() + (at - begin), length);
  }
  Block* block = find(number);
  require(block != nullptr, "a cache block was lost while it was read");
  return *block;
}

void BlockCache::read(std::uint64_t offset, MutableByteView out) {
  check_range(device_, offset, out.size(), "read metadata");
  for (std::size_t done = 0; done < out.size();) {
    const std::uint64_t number = (offset + done) / kBlock;
    const std::size_t inside = (offset + done) % kBlock;
    const std::size_t count = std::min(kBlock - inside, out.size() - done);
    Block* block = find(number);
    if (block == nullptr) block = &load(number);
    if (block->data != nullptr) {
      std::memcpy(out.data() + done, block->data + inside, count);
    } else {
      std::memset(out.data() + done, std::to_integer<int>(block->fill), count);
    }
    done += count;
  }
}

void BlockCache::mark_dirty(std::uint64_t number, Block& block) {
  if (block.dirty) return;
  block.dirty = true;
  ++dirty_count_;
  dirty_.push_back(number);
  if (!fresh_.empty()) mark_written(number);
}

void BlockCache::write(std::uint64_t offset, ByteView data) {
  check_range(device_, offset, data.size(), "write metadata");
  for (std::size_t done = 0; done < data.size();) {
    const std::uint64_t number = (offset + done) / kBlock;
    const std::size_t inside = (offset + done) % kBlock;
    const std::size_t count = std::min(kBlock - inside, data.size() - done);
    const ByteView part = data.subspan(done, count);
    Block* block = find(number);
    if (count == block_length(number)) {  // all of it: the old content does not matter
      if (block == nullptr) block = &insert(number);
      if (count == kBlock && uniform(part)) {
        release_content(*block);
        block->fill = part.front();
      } else {
        if (block->data == nullptr) new_content(*block);
        std::memcpy(block->data, part.data(), count);
      }
    } else {
      if (block == nullptr) block = &load(number);
      std::memcpy(materialise(*block) + inside, part.data(), count);
    }
    mark_dirty(number, *block);
    done += count;
  }
}

void BlockCache::forget(ByteRange range) {
  const std::uint64_t first = range.offset / kBlock;
  const std::uint64_t last = (range.end() + kBlock - 1) / kBlock;
  // Whichever is smaller, the range or the cache: 3 TB are 800 million blocks.
  if (last - first <= blocks_.size()) {
    for (std::uint64_t number = first; number < last; ++number) {
      const auto at = blocks_.find(number);
      if (at != blocks_.end()) erase(at);
    }
    return;
  }
  for (auto at = blocks_.begin(); at != blocks_.end();) {
    const auto next = std::next(at);
    if (at->first >= first && at->first < last) erase(at);
    at = next;
  }
}

void BlockCache::flush(const IntervalSet& forbidden) {
  std::sort(dirty_.begin(), dirty_.end());
  dirty_.erase(std::unique(dirty_.begin(), dirty_.end()), dirty_.end());
  std::erase_if(dirty_, [&](std::uint64_t number) {
    const auto at = blocks_.find(number);
    return at == blocks_.end() || !at->second.dirty;
  });
  for (std::uint64_t number : dirty_) {
    if (forbidden.overlaps({number * kBlock, kBlock})) {
      internal_error("metadata block " + std::to_string(number) + " lies in clusters of file data");
    }
  }

  std::uint64_t start = 0;
  std::size_t filled = 0;
  const auto write_window = [&] {
    if (filled != 0) device_.write(start, window_.span().first(filled));
    filled = 0;
  };
  for (std::uint64_t number : dirty_) {
    if (filled == kWriteWindow || start + filled != number * kBlock) write_window();
    if (filled == 0) start = number * kBlock;
    const Block& block = blocks_.at(number);
    const std::size_t length = block_length(number);
    std::byte* to = window_.span().data() + filled;
    if (block.data != nullptr) {
      std::memcpy(to, block.data, length);
    } else {
      std::memset(to, std::to_integer<int>(block.fill), length);
    }
    filled += length;
  }
  write_window();

  for (std::uint64_t number : dirty_) {
    Block& block = blocks_.at(number);
    block.dirty = false;
    block.pinned = true;
  }
  pinned_.insert(pinned_.end(), dirty_.begin(), dirty_.end());
  dirty_.clear();
  dirty_count_ = 0;
}

void BlockCache::settle() {
  for (std::uint64_t number : pinned_) {
    const auto at = blocks_.find(number);
    if (at != blocks_.end()) at->second.pinned = false;
  }
  pinned_.clear();
  pinned_.shrink_to_fit();
  evict_to(cap_);
}

// Drops the least recently used clean blocks until `bytes` of content are left.
void BlockCache::evict_to(std::uint64_t bytes) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> clean;  // last use, number
  for (const auto& [number, block] : blocks_) {
    if (!block.dirty && !block.pinned) clean.emplace_back(block.used, number);
  }
  const std::size_t keep = bytes / kBlock;
  if (clean.size() <= keep) return;
  const auto drop = clean.begin() + static_cast<std::ptrdiff_t>(clean.size() - keep);
  std::nth_element(clean.begin(), drop, clean.end());
  for (auto at = clean.begin(); at != drop; ++at) erase(blocks_.find(at->second));
}

}  // namespace driveprep::ntfs

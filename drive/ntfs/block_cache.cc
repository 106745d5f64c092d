#include "drive/ntfs/block_cache.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace driveprep::ntfs {
namespace {

constexpr std::uint64_t kReadWindow = 64 * kKiB;
constexpr std::uint64_t kWriteWindow = 1 * kMiB;
constexpr std::size_t kLeastAhead = 4;  // blocks: below, a buffer is not worth it

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
  return static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, device_size_ - number * kBlock));
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

void BlockCache::set_fresh(ByteRange range) {
  if (range.length == 0) return;
  require(range.offset % kBlock == 0 && range.length % kBlock == 0,
          "a fresh range is not whole blocks");
  fresh_.add(range.offset / kBlock, range.length / kBlock);
}

// Reads the block, and what lies around it, from the device.
BlockCache::Block& BlockCache::load(std::uint64_t number) {
  if (fresh_.is_unwritten(number)) return insert(number);

  const std::uint64_t begin = round_down(number * kBlock, kReadWindow);
  const std::uint64_t end = std::min(begin + kReadWindow, device_size_);
  const MutableByteView window = window_.span().first(end - begin);
  device_.read(begin, window);
  if ((stored_count_ - std::min(stored_count_, dirty_count_ + pinned_.size() + ahead_.size())) *
          kBlock >
      cap_) {
    evict_to(cap_ / 4 * 3);
  }
  for (std::uint64_t at = begin; at < end; at += kBlock) {
    const std::uint64_t n = at / kBlock;
    if (blocks_.contains(n) || fresh_.is_unwritten(n)) continue;
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
  if (fresh_.empty()) return;
  fresh_.set_written(number);
  if (fresh_.is_unreferenced(number)) waiting_.push_back(number);
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

std::size_t BlockCache::copy_block(std::uint64_t number, std::byte* to) const {
  const Block& block = blocks_.at(number);
  const std::size_t length = block_length(number);
  if (block.data != nullptr) {
    std::memcpy(to, block.data, length);
  } else {
    std::memset(to, std::to_integer<int>(block.fill), length);
  }
  return length;
}

// Sorted, each once, without those that are not dirty any more.
void BlockCache::keep_dirty(std::vector<std::uint64_t>& numbers,
                            const IntervalSet& forbidden) const {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  std::erase_if(numbers, [&](std::uint64_t number) {
    const auto at = blocks_.find(number);
    return at == blocks_.end() || !at->second.dirty;
  });
  for (std::uint64_t number : numbers) {
    if (forbidden.overlaps({number * kBlock, kBlock})) {
      internal_error("metadata block " + std::to_string(number) + " lies in clusters of file data");
    }
  }
}

void BlockCache::write_ahead(const IntervalSet& forbidden, DataSink& sink) {
  keep_dirty(waiting_, forbidden);
  // Gone ahead before, and changed since: the next flush has it.
  std::erase_if(waiting_, [&](std::uint64_t number) { return !fresh_.is_unreferenced(number); });
  std::vector<std::uint64_t> left;
  for (std::size_t begin = 0; begin < waiting_.size();) {
    std::size_t end = begin + 1;
    while (end < waiting_.size() && end - begin < DataSink::kBufferBytes / kBlock &&
           waiting_[end] == waiting_[end - 1] + 1) {
      ++end;
    }
    if (end - begin < kLeastAhead) {
      left.insert(left.end(), waiting_.begin() + static_cast<std::ptrdiff_t>(begin),
                  waiting_.begin() + static_cast<std::ptrdiff_t>(end));
    } else {
      block::AlignedBuffer buffer = sink.new_buffer();
      std::size_t filled = 0;
      for (std::size_t i = begin; i < end; ++i) {
        filled += copy_block(waiting_[i], buffer.span().data() + filled);
        Block& block = blocks_.at(waiting_[i]);
        block.dirty = false;
        block.pinned = true;
        fresh_.set_referenced(waiting_[i]);
        ahead_.push_back(waiting_[i]);
      }
      dirty_count_ -= end - begin;
      sink.write(DataSink::Content::kStructures, waiting_[begin] * kBlock, std::move(buffer),
                 filled);
    }
    begin = end;
  }
  waiting_ = std::move(left);
  left_waiting_ = waiting_.size();
}

void BlockCache::flush(const IntervalSet& forbidden) {
  keep_dirty(dirty_, forbidden);
  std::uint64_t start = 0;
  std::size_t filled = 0;
  const auto write_window = [&] {
    if (filled != 0) device_.write(start, window_.span().first(filled));
    filled = 0;
  };
  for (std::uint64_t number : dirty_) {
    if (filled == kWriteWindow || start + filled != number * kBlock) write_window();
    if (filled == 0) start = number * kBlock;
    filled += copy_block(number, window_.span().data() + filled);
  }
  write_window();

  for (std::uint64_t number : dirty_) {
    Block& block = blocks_.at(number);
    block.dirty = false;
    block.pinned = true;
    fresh_.set_referenced(number);
  }
  pinned_.insert(pinned_.end(), dirty_.begin(), dirty_.end());
  dirty_.clear();
  dirty_count_ = 0;
  waiting_.clear();
  left_waiting_ = 0;
}

void BlockCache::unpin(std::vector<std::uint64_t>& numbers) {
  for (std::uint64_t number : numbers) {
    const auto at = blocks_.find(number);
    if (at != blocks_.end()) at->second.pinned = false;
  }
  numbers.clear();
  numbers.shrink_to_fit();
}

void BlockCache::settle_ahead() {
  unpin(ahead_);
  evict_to(cap_);
}

void BlockCache::settle() {
  unpin(pinned_);
  settle_ahead();
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

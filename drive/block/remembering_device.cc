#include "drive/block/remembering_device.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/md5_lanes.h"
#include "drive/block/aligned_buffer.h"

namespace driveprep::block {
namespace {

constexpr std::size_t kMostAtOnce = 256;

// Of each `part` bytes of `data`, kMostAtOnce of them at most; never 0.
std::vector<std::uint64_t> digests_of(ByteView data, std::size_t part) {
  const std::size_t count = data.size() / part;
  std::vector<ByteView> parts(count);
  std::vector<Md5> whole(count);
  for (std::size_t i = 0; i < count; ++i) parts[i] = data.subspan(i * part, part);
  md5_lanes(parts, whole);
  std::vector<std::uint64_t> digests(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(&digests[i], whole[i].data(), sizeof digests[i]);
    digests[i] = std::max<std::uint64_t>(digests[i], 1);
  }
  return digests;
}

}  // namespace

void RememberingDevice::write(std::uint64_t offset, ByteView data) {
  device_.write(offset, data);
  const std::uint64_t end = offset + data.size();
  const std::uint64_t first = std::min(round_up(offset, kBlock), end);
  const std::uint64_t last = std::max(round_down(end, kBlock), first);
  keep_sectors(offset, data.first(first - offset));
  keep_blocks(first, data.subspan(first - offset, last - first));
  keep_sectors(last, data.subspan(last - offset));
}

void RememberingDevice::keep_blocks(std::uint64_t offset, ByteView data) {
  for (std::size_t at = 0; at < data.size(); at += kMostAtOnce * kBlock) {
    const ByteView some = data.subspan(at, std::min(kMostAtOnce * kBlock, data.size() - at));
    const std::vector<std::uint64_t> digests = digests_of(some, kBlock);
    const std::scoped_lock lock(mutex_);
    forget({offset + at, some.size()});
    for (std::size_t i = 0; i < digests.size(); ++i) {
      const std::uint64_t block = offset + at + i * kBlock;
      pages_[round_down(block, kPage)][block % kPage / kBlock] = digests[i];
    }
  }
}

void RememberingDevice::keep_sectors(std::uint64_t offset, ByteView data) {
  if (data.empty()) return;
  const std::size_t sector = sector_size().bytes();
  const std::vector<std::uint64_t> digests = digests_of(data, sector);
  const std::scoped_lock lock(mutex_);
  forget({offset, data.size()});
  for (std::size_t i = 0; i < digests.size(); ++i) sectors_[offset + i * sector] = digests[i];
}

void RememberingDevice::forget(const ByteRange& range) {
  sectors_.erase(sectors_.lower_bound(range.offset), sectors_.lower_bound(range.end()));
  for (auto page = pages_.lower_bound(round_down(range.offset, kPage));
       page != pages_.end() && page->first < range.end(); ++page) {
    for (std::size_t i = 0; i < page->second.size(); ++i) {
      const std::uint64_t block = page->first + i * kBlock;
      if (block < range.end() && block + kBlock > range.offset) page->second[i] = 0;
    }
  }
}

void RememberingDevice::Bulk::write(std::uint64_t offset, ByteView data) {
  memory_.device_.write(offset, data);
  const std::scoped_lock lock(memory_.mutex_);
  memory_.forget({offset, data.size()});
}

std::optional<std::uint64_t> RememberingDevice::first_difference(
    const ReadableDevice& device) const {
  const std::scoped_lock lock(mutex_);
  const std::optional<std::uint64_t> block = lost_block(device);
  const std::optional<std::uint64_t> sector = lost_sector(device);
  return block && sector ? std::min(block, sector) : block ? block : sector;
}

std::optional<std::uint64_t> RememberingDevice::lost_block(const ReadableDevice& device) const {
  AlignedBuffer buffer(kPage);
  for (const auto& [begin, page] : pages_) {
    const ByteView found = buffer.span().first(std::min(kPage, size() - begin));
    device.read(begin, buffer.span().first(found.size()));
    const std::vector<std::uint64_t> digests = digests_of(found, kBlock);
    for (std::size_t i = 0; i < digests.size(); ++i) {
      if (page[i] != 0 && page[i] != digests[i]) return begin + i * kBlock;
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> RememberingDevice::lost_sector(const ReadableDevice& device) const {
  AlignedBuffer buffer(sector_size().bytes());
  for (const auto& [offset, digest] : sectors_) {
    device.read(offset, buffer.span());
    if (digests_of(buffer.span(), buffer.size()).front() != digest) return offset;
  }
  return std::nullopt;
}

void RememberingDevice::forget() {
  const std::scoped_lock lock(mutex_);
  pages_.clear();
  sectors_.clear();
}

}  // namespace driveprep::block

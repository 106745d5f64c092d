#include "drive/ntfs/index_builder.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace driveprep::ntfs {
namespace {

constexpr std::size_t kFixupStride = 512;
constexpr std::size_t kIndexHeader = 0x18;   // where the header of the entries is in a block
constexpr std::size_t kUpdateSequence = 0x28;
constexpr std::size_t kEntryHeader = 16;
constexpr std::size_t kVcnBytes = 8;
constexpr std::uint16_t kEntryHasChild = 1;
constexpr std::uint16_t kEntryIsLast = 2;
constexpr std::uint8_t kHasChildren = 1;

std::size_t first_entry(std::size_t block_size) {
  return round_up(kUpdateSequence + 2 * (block_size / kFixupStride + 1), 8);
}

std::size_t entry_bytes(const IndexEntry& entry, bool has_child) {
  return round_up(kEntryHeader + entry.key.size(), 8) + (has_child ? kVcnBytes : 0);
}

void append_entry(ByteWriter& out, const IndexEntry& entry, std::optional<std::uint64_t> child) {
  const std::size_t length = entry_bytes(entry, child.has_value());
  const std::size_t end = out.size() + length;
  out.u64(entry.reference).u16(static_cast<std::uint16_t>(length));
  out.u16(static_cast<std::uint16_t>(entry.key.size())).u16(child ? kEntryHasChild : 0).u16(0);
  out.bytes(entry.key).pad_to(child ? end - kVcnBytes : end);
  if (child) out.u64(*child);
}

void append_last(ByteWriter& out, std::optional<std::uint64_t> child) {
  out.u64(0).u16(child ? kEntryHeader + kVcnBytes : kEntryHeader).u16(0);
  out.u16(child ? kEntryHasChild | kEntryIsLast : kEntryIsLast).u16(0);
  if (child) out.u64(*child);
}

// One level of the tree: entries, and for each the block to its left (levels above the leaves),
// and the block to the right of the last one.
struct Level {
  std::vector<IndexEntry> entries;
  std::vector<std::uint64_t> children;  // entries + 1 of them, or none
};

class Builder {
 public:
  Builder(std::size_t block_size, std::uint64_t vcns_per_block)
      : block_size_(block_size), vcns_per_block_(vcns_per_block) {}

  // Writes the blocks of a level; what separates them is the level above.
  Level write(const Level& level) {
    const bool inner = !level.children.empty();
    const std::size_t room = block_size_ - first_entry(block_size_) - kEntryHeader -
                             (inner ? kVcnBytes : 0);
    Level above;
    for (std::size_t begin = 0;;) {
      std::size_t end = begin;
      for (std::size_t used = 0; end < level.entries.size(); ++end) {
        used += entry_bytes(level.entries[end], inner);
        if (used > room) break;
      }
      // The next entry separates; a block must come behind it, and that must not be empty.
      if (end + 1 == level.entries.size()) --end;
      above.children.push_back(write_block(level, begin, end));
      if (end == level.entries.size()) return above;
      above.entries.push_back(level.entries[end]);
      begin = end + 1;
    }
  }

  Bytes take() { return std::move(blocks_); }

 private:
  std::uint64_t write_block(const Level& level, std::size_t begin, std::size_t end) {
    require(begin < end, "an index block without entries");
    const bool inner = !level.children.empty();
    const auto child = [&](std::size_t i) {
      return inner ? std::optional(level.children[i]) : std::nullopt;
    };
    ByteWriter entries(block_size_);
    for (std::size_t i = begin; i < end; ++i) append_entry(entries, level.entries[i], child(i));
    append_last(entries, child(end));

    const std::uint64_t vcn = blocks_.size() / block_size_ * vcns_per_block_;
    const std::size_t first = first_entry(block_size_);
    ByteWriter out(block_size_);
    out.bytes(as_bytes("INDX")).u16(kUpdateSequence);
    out.u16(static_cast<std::uint16_t>(block_size_ / kFixupStride + 1)).u64(0).u64(vcn);
    out.u32(static_cast<std::uint32_t>(first - kIndexHeader));
    out.u32(static_cast<std::uint32_t>(first - kIndexHeader + entries.size()));
    out.u32(static_cast<std::uint32_t>(block_size_ - kIndexHeader));
    out.u8(inner ? kHasChildren : 0).zeros(3);
    out.u16(1).pad_to(first).bytes(entries.view()).pad_to(block_size_);
    blocks_.insert(blocks_.end(), out.view().begin(), out.view().end());
    return vcn;
  }

  const std::size_t block_size_;
  const std::uint64_t vcns_per_block_;
  Bytes blocks_;
};

}  // namespace

BuiltIndex build_index(std::span<const IndexEntry> entries, std::size_t block_size,
                       std::uint64_t vcns_per_block) {
  require(!entries.empty(), "an index is built without entries");
  Builder builder(block_size, vcns_per_block);
  Level level = builder.write({{entries.begin(), entries.end()}, {}});
  while (!level.entries.empty()) level = builder.write(level);
  return {builder.take(), level.children.front()};
}

Bytes index_root_value(ByteView old_value, std::uint64_t vcn) {
  ByteWriter out;
  out.bytes(old_value.first(16));  // type, collation, size of blocks
  const std::uint32_t entries = 16;
  const std::uint32_t length = entries + kEntryHeader + kVcnBytes;
  out.u32(entries).u32(length).u32(length).u8(kHasChildren).zeros(3);
  append_last(out, vcn);
  return out.take();
}

}  // namespace driveprep::ntfs

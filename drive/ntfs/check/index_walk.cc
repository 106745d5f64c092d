#include "drive/ntfs/check/index_walk.h"

#include <algorithm>
#include <bit>

#include "drive/ntfs/bit_runs.h"

namespace driveprep::ntfs::check {
namespace {

constexpr std::size_t kRootHeader = 16;  // before the header of its entries
constexpr std::size_t kBlockHeader = 24;
constexpr std::size_t kEntriesHeader = 16;
constexpr std::size_t kEntryHeader = 16;
constexpr std::size_t kVcnBytes = 8;
constexpr std::uint16_t kHasChild = 1;
constexpr std::uint16_t kIsLast = 2;
constexpr std::size_t kDeepest = 24;  // levels: more than any volume has room for
constexpr std::size_t kFileNameLength = 0x40;
constexpr std::size_t kFileNameText = 0x42;

class Walk {
 public:
  Walk(const Index& index, library::Storage& volume, const Geometry& geometry, const Order& order,
       const std::function<void(const RawIndexEntry&)>& visit)
      : index_(index), volume_(volume), geometry_(geometry), order_(order), visit_(visit) {}

  void run() {
    ByteReader head(index_.root);
    file_names_ = head.u32() == kFileName;
    head.skip(4);
    block_size_ = head.u32();
    if (!std::has_single_bit(block_size_) || block_size_ < 512 || block_size_ > 64 * kKiB) {
      throw FormatError("its blocks have " + std::to_string(block_size_) + " bytes");
    }
    if (has_blocks(index_.root)) {
      in_use_ = index_.bitmap.read_all(volume_, geometry_.cluster_size);
      seen_.resize(std::min<std::uint64_t>(index_.blocks.size() / block_size_, in_use_.size() * 8));
    }
    entries(ByteView(index_.root).subspan(kRootHeader), 0);
    check_unseen();
  }

 private:
  // Blocks smaller than a cluster are numbered in units of 512 bytes.
  std::uint64_t unit() const {
    return block_size_ >= geometry_.cluster_size ? geometry_.cluster_size : 512;
  }

  bool in_use(std::uint64_t block) const { return is_marked(in_use_, block); }

  // `bytes`: from the header of the entries on.
  void entries(ByteView bytes, std::size_t depth) {
    ByteReader head(bytes);
    const std::size_t first = head.u32();
    const std::size_t end = head.u32();
    const std::size_t room = head.u32();
    const bool inner = (head.u8() & 1) != 0;
    if (first < kEntriesHeader || first % 8 != 0 || end > room || room > bytes.size() ||
        first > end) {
      throw FormatError("the entries of a block are not where they can be");
    }
    for (std::size_t offset = first;;) {
      ByteReader entry(bytes.subspan(offset, end - offset));
      RawIndexEntry found{entry.u64(), {}, {}};
      const std::size_t length = entry.u16();
      const std::size_t key = entry.u16();
      const std::uint16_t flags = entry.u16();
      const bool last = (flags & kIsLast) != 0;
      const bool has_child = (flags & kHasChild) != 0;
      const std::size_t needed = kEntryHeader + (last ? 0 : key) + (has_child ? kVcnBytes : 0);
      if (length % 8 != 0 || length < needed || length > end - offset || has_child != inner) {
        throw FormatError("an entry is malformed");
      }
      const ByteView whole = bytes.subspan(offset, length);
      if (has_child) {
        ByteReader child(whole.last(kVcnBytes));
        descend(child.u64(), depth + 1);
      }
      if (last) return;
      found.key = whole.subspan(kEntryHeader, key);
      if (!file_names_) found.data = data_of(whole, found.reference);
      take(found);
      offset += length;
      if (offset >= end) throw FormatError("a block has no last entry");
    }
  }

  // Of a view index the place of the reference tells where the data is: offset and length.
  static ByteView data_of(ByteView entry, std::uint64_t where) {
    const std::size_t offset = where & 0xFFFF;
    const std::size_t length = where >> 16 & 0xFFFF;
    if (offset > entry.size() || length > entry.size() - offset) {
      throw FormatError("the data of an entry is not inside of it");
    }
    return entry.subspan(offset, length);
  }

  void take(const RawIndexEntry& entry) {
    if (file_names_) {
      const ByteView key = entry.key;
      if (key.size() <= kFileNameText ||
          key.size() != kFileNameText + 2 * std::to_integer<std::size_t>(key[kFileNameLength])) {
        throw FormatError("a name is malformed");
      }
    }
    if (order_) {
      if (!before_.empty() && !order_(before_, entry.key)) {
        throw FormatError("its entries are not in their order");
      }
      before_.assign(entry.key.begin(), entry.key.end());
    }
    visit_(entry);
  }

  void descend(std::uint64_t vcn, std::size_t depth) {
    const std::uint64_t per_block = block_size_ / std::min<std::uint64_t>(unit(), block_size_);
    const std::uint64_t number = vcn / per_block;
    if (vcn % per_block != 0 || number >= seen_.size() || depth > kDeepest) {
      throw FormatError("an entry leads to a block that there is not");
    }
    if (!in_use(number)) throw FormatError("a block of it is not marked as used");
    if (seen_[number]) throw FormatError("a block of it hangs in its tree twice");
    seen_[number] = true;
    Bytes block(block_size_);
    index_.blocks.read(volume_, geometry_.cluster_size, number * block_size_, block);
    restore_strides(block, "INDX");
    ByteReader own(block);
    own.skip(16);
    if (own.u64() != vcn) throw FormatError("a block of it is another one's");
    entries(ByteView(block).subspan(kBlockHeader), depth);
  }

  void check_unseen() const {
    for (std::uint64_t block = 0; block < in_use_.size() * 8; ++block) {
      if (in_use(block) && (block >= seen_.size() || !seen_[block])) {
        throw FormatError("a block of it is marked as used and hangs nowhere in its tree");
      }
    }
  }

  const Index& index_;
  library::Storage& volume_;
  const Geometry& geometry_;
  const Order& order_;
  const std::function<void(const RawIndexEntry&)>& visit_;
  bool file_names_ = false;
  std::uint32_t block_size_ = 0;
  Bytes in_use_;
  std::vector<bool> seen_;
  Bytes before_;
};

}  // namespace

bool has_blocks(ByteView root) {
  ByteReader reader(root);
  reader.skip(kRootHeader + 12);
  return (reader.u8() & 1) != 0;
}

Order order_of_names(const std::vector<char16_t>& upcase) {
  return [&upcase](ByteView before, ByteView after) {
    ByteReader left(before.subspan(kFileNameText));
    ByteReader right(after.subspan(kFileNameText));
    int exact = 0;  // of the first units that differ in case only
    while (left.remaining() >= 2 && right.remaining() >= 2) {
      const std::uint16_t a = left.u16();
      const std::uint16_t b = right.u16();
      if (upcase[a] != upcase[b]) return upcase[a] < upcase[b];
      if (exact == 0 && a != b) exact = a < b ? -1 : 1;
    }
    if (left.remaining() != right.remaining()) return left.remaining() < right.remaining();
    return exact < 0;
  };
}

void walk_index(const Index& index, library::Storage& volume, const Geometry& geometry,
                const Order& order, const std::function<void(const RawIndexEntry&)>& visit) {
  Walk(index, volume, geometry, order, visit).run();
}

}  // namespace driveprep::ntfs::check

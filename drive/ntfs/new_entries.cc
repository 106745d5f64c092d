#include "drive/ntfs/new_entries.h"

#include <algorithm>
#include <cstring>

#include "drive/ntfs/file_layout.h"
#include "drive/ntfs/index_builder.h"

namespace driveprep::ntfs {
namespace {

// So few stay inside the directory's record, where the library puts them.
constexpr std::size_t kFew = 4;
constexpr std::size_t kEmptyRootBytes = 48;  // header, and the entry that ends it

// The name inside a $FILE_NAME value.
struct KeyName {
  explicit KeyName(ByteView key)
      : length(std::to_integer<u32>(key[64])),
        units(static_cast<const ntfschar*>(static_cast<const void*>(key.data() + 66))) {}
  u32 length;
  const ntfschar* units;
};

bool comes_before(const ntfs_volume* volume, ByteView a, ByteView b) {
  const KeyName left(a);
  const KeyName right(b);
  return ntfs_names_full_collate(left.units, left.length, right.units, right.length,
                                 CASE_SENSITIVE, volume->upcase, volume->upcase_len) < 0;
}

library::Attribute open_index(library::Mount& mount, ntfs_inode* directory, ATTR_TYPES type) {
  library::Attribute attribute(ntfs_attr_open(directory, type, NTFS_INDEX_I30, 4));
  if (!attribute) mount.fail("open the index of directory " + std::to_string(directory->mft_no));
  return attribute;
}

Bytes read_root(library::Mount& mount, ntfs_inode* directory) {
  const library::Attribute root = open_index(mount, directory, AT_INDEX_ROOT);
  Bytes value(static_cast<std::size_t>(root->data_size));
  if (value.size() < kEmptyRootBytes ||
      ntfs_attr_pread(root.get(), 0, root->data_size, value.data()) != root->data_size) {
    mount.fail("read the index of directory " + std::to_string(directory->mft_no));
  }
  return value;
}

// A bit for each block of the index.
Bytes block_bitmap(std::uint64_t blocks) {
  Bytes bits(round_up((blocks + 7) / 8, 8));
  for (std::uint64_t i = 0; i < blocks; ++i) bits[i / 8] |= std::byte{1} << (i % 8);
  return bits;
}

}  // namespace

bool has_no_entries(library::Mount& mount, ntfs_inode* directory) {
  return read_root(mount, directory).size() == kEmptyRootBytes;
}

void insert_entry(library::Mount& mount, ntfs_inode* directory, std::uint64_t reference,
                  ByteView key) {
  alignas(FILE_NAME_ATTR) std::byte copy[sizeof(FILE_NAME_ATTR) + 2 * 255];
  require(key.size() <= sizeof copy, "the key of an index entry is too long");
  std::memcpy(copy, key.data(), key.size());
  void* name = copy;
  if (ntfs_index_add_filename(directory, static_cast<FILE_NAME_ATTR*>(name), reference) != 0) {
    const KeyName units(key);
    mount.fail("create " +
               library::printable(std::u16string(units.units, units.units + units.length)));
  }
}

bool NewEntries::add(std::uint64_t reference, std::u16string_view name, ByteView key) {
  if (!names_.emplace(name).second) return false;
  const std::size_t begin = round_up(keys_.size(), 8);
  keys_.resize(begin);
  keys_.insert(keys_.end(), key.begin(), key.end());
  entries_.push_back({reference, begin, key.size()});
  return true;
}

void NewEntries::sort(const ntfs_volume* volume) {
  const auto before = [&](const Entry& a, const Entry& b) {
    return comes_before(volume, key(a), key(b));
  };
  if (!std::ranges::is_sorted(entries_, before)) std::ranges::sort(entries_, before);
}

void NewEntries::write_to(library::Mount& mount, ntfs_inode* directory,
                          const TakeClusters& take_clusters) {
  if (entries_.size() <= kFew) {
    for (const Entry& entry : entries_) insert_entry(mount, directory, entry.reference, key(entry));
  } else {
    sort(mount.volume());
    write_tree(mount, directory, take_clusters);
  }
  entries_.clear();
  keys_.clear();
  names_.clear();
}

void NewEntries::write_tree(library::Mount& mount, ntfs_inode* directory,
                            const TakeClusters& take_clusters) {
  const std::string what = "write the index of directory " + std::to_string(directory->mft_no);
  const Bytes old_root = read_root(mount, directory);
  require(old_root.size() == kEmptyRootBytes, "the index of a new directory is not empty");
  ByteReader fields(old_root);
  fields.skip(8);
  const std::uint32_t block_size = fields.u32();
  const std::uint32_t cluster_size = mount.volume()->cluster_size;
  // Children are counted in clusters, or in units of 512 bytes where a block is less than one.
  const std::uint64_t vcns = cluster_size <= block_size ? block_size / cluster_size
                                                        : block_size / NTFS_BLOCK_SIZE;
  std::vector<IndexEntry> sorted;
  sorted.reserve(entries_.size());
  for (const Entry& entry : entries_) sorted.push_back({entry.reference, key(entry)});
  BuiltIndex index = build_index(sorted, block_size, vcns);
  const std::uint64_t count = index.count(block_size);

  Bytes bits = block_bitmap(count);
  if (ntfs_attr_add(directory, AT_BITMAP, NTFS_INDEX_I30, 4, uchars(MutableByteView(bits)),
                    static_cast<s64>(bits.size())) != 0 ||
      ntfs_attr_add(directory, AT_INDEX_ALLOCATION, NTFS_INDEX_I30, 4, nullptr, 0) != 0) {
    mount.fail(what);
  }
  const std::uint64_t bytes = index.blocks.size();
  const library::Attribute blocks = open_index(mount, directory, AT_INDEX_ALLOCATION);
  library::assign_clusters(mount, blocks.get(),
                           take_clusters((bytes + cluster_size - 1) / cluster_size), bytes, bytes);
  if (ntfs_attr_mst_pwrite(blocks.get(), 0, static_cast<s64>(count), block_size,
                           index.blocks.data()) != static_cast<s64>(count)) {
    mount.fail(what);
  }
  const Bytes root_value = index_root_value(old_root, index.top);
  const auto root_size = static_cast<s64>(root_value.size());
  const library::Attribute root = open_index(mount, directory, AT_INDEX_ROOT);
  if (ntfs_attr_truncate(root.get(), root_size) != 0 ||
      ntfs_attr_pwrite(root.get(), 0, root_size, root_value.data()) != root_size) {
    mount.fail(what);
  }
}

}  // namespace driveprep::ntfs

// The entries of a directory that had none, held back until the directory is left, and then written
// as one index.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/bytes.h"
#include "base/units.h"
#include "drive/ntfs/library.h"

namespace driveprep::ntfs {

class NewEntries {
 public:
  // So many whole clusters for an index, already marked as used.
  using TakeClusters = std::function<std::vector<ByteRange>(std::uint64_t clusters)>;

  bool empty() const { return entries_.empty(); }
  bool contains(std::u16string_view name) const { return names_.contains(std::u16string(name)); }
  // False when the name is there already; nothing changes then. `key`: its $FILE_NAME value.
  bool add(std::uint64_t reference, std::u16string_view name, ByteView key);
  // What they will take in the index, about.
  std::uint64_t bytes() const { return keys_.size() + entries_.size() * 16; }

  // Puts all of them into the index of `directory`, which has none, and forgets them.
  void write_to(library::Mount& mount, ntfs_inode* directory, const TakeClusters& take_clusters);

 private:
  struct Entry {
    std::uint64_t reference = 0;
    std::size_t begin = 0;   // of its key
    std::size_t length = 0;  // bytes
  };

  ByteView key(const Entry& entry) const {
    return ByteView(keys_).subspan(entry.begin, entry.length);
  }
  void sort(const ntfs_volume* volume);
  void write_tree(library::Mount& mount, ntfs_inode* directory, const TakeClusters& take_clusters);

  std::vector<Entry> entries_;
  Bytes keys_;
  std::unordered_set<std::u16string> names_;
};

// Whether nothing has ever been put into the directory.
bool has_no_entries(library::Mount& mount, ntfs_inode* directory);

// One more entry, through the library. `key`: its $FILE_NAME value.
void insert_entry(library::Mount& mount, ntfs_inode* directory, std::uint64_t reference,
                  ByteView key);

}  // namespace driveprep::ntfs

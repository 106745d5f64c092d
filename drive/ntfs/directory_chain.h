// The way from the root to a directory, kept open, and what lies in it. Internal to this module.
//
// Paths that are asked for in directory order then cost one look-up each. Belongs to the thread of
// its mount.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "drive/ntfs/library.h"

namespace driveprep::ntfs::library {

// The components of a path between any of `separators`; empty ones are left out.
std::vector<std::u16string_view> split_path(std::u16string_view path,
                                            std::u16string_view separators);

// A name in a directory's index.
struct IndexName {
  std::u16string name;
  MFT_REF reference = 0;
  bool directory = false;
};

// All names in the index of `directory` as the library walks it, without "." and "..", and without
// the short names that DOS programs see beside the long ones.
std::vector<IndexName> index_names(Mount& mount, ntfs_inode* directory);

// Opens a record; a reference carries its sequence number, which must fit.
Inode open_record(Mount& mount, MFT_REF reference);

class DirectoryChain {
 public:
  explicit DirectoryChain(Mount& mount);

  ntfs_inode* root() { return levels_.front().inode.get(); }
  // The directory with these components by exact case, keeping what it has in common with the last
  // one. Null when a component is missing or no directory. Valid until the next call.
  ntfs_inode* enter(std::span<const std::u16string_view> parts);
  // The reference of an entry by exact case, 0 when there is none.
  MFT_REF look_up(ntfs_inode* directory, std::u16string_view name);
  // The directory with this reference if it is one of the open ones: there must never be two
  // objects of one directory.
  ntfs_inode* find_open(MFT_REF reference);

 private:
  struct Level {
    std::u16string name;
    Inode inode;
  };

  Mount& mount_;
  std::vector<Level> levels_;  // the root first
};

}  // namespace driveprep::ntfs::library

// Goes through a directory and, if asked, all below it, in order.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "drive/ntfs/file_tree.h"

namespace driveprep::volume {

// Paths are whole, from the root, components joined by '/'.
class TreeVisitor {
 public:
  virtual ~TreeVisitor() = default;
  // Everything that is no directory.
  virtual void file(std::u16string_view path, const ntfs::Entry& entry) = 0;
  // False: what is in it is passed over, and leave() is not called.
  virtual bool enter(std::u16string_view path, const ntfs::Entry& directory) = 0;
  virtual void leave(std::u16string_view path, const ntfs::Entry& directory) = 0;
  // An entry whose record, or a directory whose index cannot be read; the walk goes on.
  virtual void problem(std::u16string_view path, const Error& error) = 0;
};

// Visits `start`, and when it is a directory that is entered, its entries, sorted by name; those of
// the file system itself only on demand. Any depth: nothing is recursive. What the visitor throws
// ends the walk.
void walk_tree(ntfs::FileTree& tree, const ntfs::Found& start, TreeVisitor& visitor,
               ntfs::FileTree::Metafiles metafiles = ntfs::FileTree::Metafiles::kHide);

}  // namespace driveprep::volume

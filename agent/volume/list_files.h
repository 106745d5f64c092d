// What `volume ls` shows.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "drive/ntfs/file_tree.h"

namespace driveprep::volume {

struct ListRequest {
  std::string_view path;  // WTF-8, '/' or '\' between components; "" is the root
  bool recursive = false;
  ntfs::FileTree::Metafiles metafiles = ntfs::FileTree::Metafiles::kHide;
  // The path from the root in WTF-8 ("a/b"), and the facts. In order of the names, a directory
  // before what is in it.
  std::function<void(const std::string& path, const ntfs::Entry& entry)> on_entry;
  // An entry that cannot be looked at; the listing goes on.
  std::function<void(const std::string& path, const Error& error)> on_problem;
};

struct ListTotals {
  std::uint64_t files = 0;  // whatever is no directory
  std::uint64_t directories = 0;
  std::uint64_t bytes = 0;  // sizes of the files
  std::uint64_t problems = 0;
};

// The entries of a directory, without the directory itself; or the one file that the path names.
// Throws what find_or_throw() does.
ListTotals list_files(ntfs::FileTree& tree, const ListRequest& request);

}  // namespace driveprep::volume

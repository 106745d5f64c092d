// What `volume cat` does.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "drive/ntfs/file_tree.h"

namespace driveprep::volume {

// Writes the content of the file `path` (WTF-8) to `fd`, called `fd_name` in errors, and returns
// its size. `on_bytes` (may be empty) is told how many bytes were written after each 4 MiB. Throws
// what find_or_throw() and FileTree::open() do, and kWrite "write-failed".
std::uint64_t copy_out(ntfs::FileTree& tree, std::string_view path, int fd,
                       const std::string& fd_name,
                       const std::function<void(std::uint64_t)>& on_bytes = {});

}  // namespace driveprep::volume

// Paths of a volume as the command line and Linux know them, and back.
//
// A name becomes its WTF-8 text: UTF-8, and half a surrogate pair, which NTFS allows, in three
// bytes. So every name has a Linux name of its own, which leads back to it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "drive/ntfs/file_tree.h"

namespace driveprep::volume {

// "a/b" or "\a\b" in WTF-8 to UTF-16. kUsage "path-encoding".
std::u16string path_from_text(std::string_view text);
std::string text_of_path(std::u16string_view path);

// The name of one file on Linux; nullopt when it has none: it is empty, "." or "..", or holds '/'
// or NUL, which only other systems than Windows write.
std::optional<std::string> linux_name(std::u16string_view name);

// What a path given by the user leads to. kUsage "no-such-file", and what FileTree::find() throws.
ntfs::Found find_or_throw(ntfs::FileTree& tree, std::string_view path);

}  // namespace driveprep::volume

// Walks the B-tree of an index, all of it. Internal.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "drive/ntfs/check/stored_attribute.h"
#include "drive/ntfs/types.h"

namespace driveprep::ntfs::check {

struct Index {
  Bytes root;              // value of $INDEX_ROOT
  StoredAttribute blocks;  // $INDEX_ALLOCATION
  StoredAttribute bitmap;  // of the blocks in use
};

// One entry, in the order of the index. What a view index (of $Secure and others) holds beside its
// key is in `data`; a directory's entries have a reference instead.
struct RawIndexEntry {
  std::uint64_t reference = 0;
  ByteView key;
  ByteView data;
};

// Whether one entry's key comes before another's.
using Order = std::function<bool(ByteView before, ByteView after)>;
// That of a directory: names in upper case, then as they are. `upcase`: 65536 equivalents.
Order order_of_names(const std::vector<char16_t>& upcase);

// Calls `visit` for each entry. Throws FormatError when an entry or a block is malformed, entries
// are not in `order` (none: not looked at), a block hangs in the tree twice, or is in use without
// hanging in it.
void walk_index(const Index& index, library::Storage& volume, const Geometry& geometry,
                const Order& order, const std::function<void(const RawIndexEntry&)>& visit);

// Whether the tree has blocks beside its root.
bool has_blocks(ByteView root);

}  // namespace driveprep::ntfs::check

// The B-tree of a directory, built at once from all its entries.
//
// Inserting one by one through libntfs-3g reads and checks two blocks of the tree for every file.
// Here the blocks are filled one after the other, and what separates two of them moves up a level.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace driveprep::ntfs {

struct IndexEntry {
  std::uint64_t reference = 0;  // of the file
  ByteView key;                 // its $FILE_NAME value
};

struct BuiltIndex {
  Bytes blocks;                 // $INDEX_ALLOCATION: whole blocks, update sequences not applied
  std::uint64_t top = 0;        // number of the block that the root points to
  std::uint64_t count(std::size_t block_size) const { return blocks.size() / block_size; }
};

// `entries` in the order of the index, at least one. `block_size`: bytes of an index block, 4096.
// `vcns_per_block`: what one block counts for in the numbers that entries hold of their children.
BuiltIndex build_index(std::span<const IndexEntry> entries, std::size_t block_size,
                       std::uint64_t vcns_per_block);

// The value of $INDEX_ROOT for a tree whose top is the block `vcn`; `old_value` gives the fields
// that stay (at least 16 bytes).
Bytes index_root_value(ByteView old_value, std::uint64_t vcn);

}  // namespace driveprep::ntfs

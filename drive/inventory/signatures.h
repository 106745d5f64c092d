// What is on a disk or image already: partition tables, file systems, encryption, members of
// arrays. libblkid is met here and nowhere else.
//
// Nothing in this header writes. A content that libblkid does not know is found by looking for any
// byte that is not zero.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/units.h"

namespace driveprep::inventory {

enum class Usage {
  kPartitionTable,
  kFilesystem,
  kCrypto,
  kRaid,
  kOther,
};

struct Signature {
  std::string type;  // libblkid's name: "gpt", "ntfs", "BitLocker", "LVM2_member", ...
  Usage usage = Usage::kOther;
  std::string label;         // printable only; empty when there is none
  std::string uuid;          // empty when there is none
  std::uint64_t offset = 0;  // byte offset of the magic bytes, from the start of the disk
  std::uint64_t length = 0;  // bytes of the magic
  ByteRange area;            // the whole disk, or the partition it was found in
};

struct Signatures {
  std::vector<Signature> found;       // outer ones first
  std::vector<ByteRange> partitions;  // of the tables found, in order of their number
  // What makes the disk a part of something larger, in words: "LVM2_member", "btrfs of 3 devices".
  std::vector<std::string> part_of;

  bool empty() const { return found.empty() && partitions.empty(); }
};

// Every signature on `area` as a whole, and inside each of its partitions, also those with a bad
// checksum, a GPT whose protective MBR is gone, and several at one place.
// `fd`: open for reading. `area`: the disk, or a partition of it. `sector`: what an image file
// cannot tell itself. Throws kBusy "probe-failed" when something cannot be read: an unreadable disk
// is not an empty one.
Signatures probe_signatures(int fd, const ByteRange& area, SectorSize sector,
                            const std::string& name);

// A partition as a table names it.
struct Partition {
  int number = 0;    // as Linux counts them, from 1
  ByteRange range;   // bytes from the start of the disk
  std::string type;  // a GUID in lower case, or "0x7" of an MBR; empty when libblkid tells none
};

// The partitions of the table on a disk, GPT or MBR, in the order of their number; none without a
// table. Arguments and errors as above.
std::vector<Partition> read_partitions(int fd, std::uint64_t size, SectorSize sector,
                                       const std::string& name);

// Where and how hard the search for unknown data looked.
enum class Search {
  kComplete,  // every byte that the file system holds for the file was read
  kSampled,   // first and last 16 MiB, the start of the first extents, up to 1024 places between
};

struct Contents {
  Signatures signatures;
  std::optional<std::uint64_t> first_data;  // byte offset of the first non-zero byte seen
  Search search = Search::kComplete;
  Sha256 digest{};  // of everything that was looked at; equal for equal contents
  // For the operator: "empty", "GPT, NTFS 'Backup', ext4", "unknown data at offset 1048576".
  std::string description;

  // False only for what is known to be empty: zeros in samples prove nothing of what lies between.
  bool holds_something() const {
    return !signatures.empty() || first_data.has_value() || search == Search::kSampled;
  }
};

// What a piece of the contents that cannot be read means: it is unknown, or one of what is to be
// destroyed. It counts as data then, and is in the description.
enum class Unreadable { kFail, kNote };

// Looks at everything that the file system holds for `area`, in up to 1024 extents and 1 GiB, so
// that a sparse image costs nothing whatever its size; else at a sample. Of a disk, where nothing
// tells what is held, at everything up to 1 GiB. Holes and preallocated
// space are zeros by what the file system says, and are not read.
Contents examine_contents(int fd, const ByteRange& area, SectorSize sector,
                          const std::string& name, Unreadable unreadable = Unreadable::kFail);

// "GPT, BitLocker volume 'X', NTFS": what is found, in words, each once.
std::string describe(const Signatures& signatures);

}  // namespace driveprep::inventory

// The $MFT record of a plain file, built whole.
//
// libntfs-3g makes such a record in a dozen steps and searches the directory's index twice; for
// small files that is most of the time. A record made here is the one the library would have made,
// byte for byte (a test compares them), but for the size beside the name, which it leaves at 0. Layout: docs/volume-format.md, "NTFS".
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "drive/ntfs/cluster_allocator.h"
#include "drive/ntfs/types.h"

namespace driveprep::ntfs {

struct NewFile {
  std::u16string_view name;          // 1 to 255 UTF-16 units
  FileTimes times;
  FileTime record_changed;
  std::uint64_t size = 0;            // bytes
  std::uint64_t valid_length = 0;    // bytes; of a file with clusters
  ByteView content;                  // all `size` bytes, when they live in the record ...
  std::span<const ClusterRun> runs;  // ... otherwise their clusters, in file order
};

// Where the record stands, and what all files of a volume share.
struct RecordPlace {
  std::uint64_t number = 0;
  std::uint64_t parent = 0;  // file reference of the directory: record number and sequence number
  std::uint32_t security_id = 0;
  std::uint32_t cluster_size = 0;  // bytes
};

// A new record is used for the first time.
constexpr std::uint64_t first_reference(std::uint64_t number) {
  return number | std::uint64_t{1} << 48;
}

// Bytes of content that fit into a record of `record_size` bytes beside a name of so many units.
std::size_t resident_capacity(std::size_t record_size, std::size_t name_units);

// The value of the $FILE_NAME attribute: the same in the record and, as the key, in the index.
Bytes file_name_value(const NewFile& file, const RecordPlace& place);

// Fills `record` (a whole record, zeroed), update sequence array included but not applied; `name`
// is file_name_value(). False when the runs do not fit: nothing has been written then.
bool build_file_record(const NewFile& file, const RecordPlace& place, ByteView name,
                       MutableByteView record);

}  // namespace driveprep::ntfs

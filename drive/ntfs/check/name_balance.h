// Whether directories and records agree on every name. Internal.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace driveprep::ntfs::check {

// Each name stands twice on a volume: in the record of the file, and as an entry of the directory
// that it is in. Both sides are added up as they come, 4 bytes a record, and must cancel out.
class NameBalance {
 public:
  explicit NameBalance(std::uint64_t records) : sums_(records) {}

  // `owner`: reference of the file. `name`: a $FILE_NAME value.
  void in_record(std::uint64_t owner, ByteView name);
  void in_directory(std::uint64_t owner, ByteView name);
  // The first record whose names are not those by which directories know it.
  std::optional<std::uint64_t> first_difference() const;

 private:
  std::vector<std::uint32_t> sums_;
};

// Reference of the directory that a $FILE_NAME value names. Throws FormatError.
std::uint64_t parent_of(ByteView name);

}  // namespace driveprep::ntfs::check

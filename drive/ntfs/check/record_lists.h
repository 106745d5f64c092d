// Files whose attributes do not fit into one record: whether what belongs together is all there.
// Internal.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "drive/ntfs/check/raw_record.h"

namespace driveprep::ntfs::check {

class RecordLists {
 public:
  // Value of an $ATTRIBUTE_LIST of the record `base`. Throws FormatError.
  void add_list(std::uint64_t base, ByteView list);
  // An attribute of a file that has such a list, in the record with this reference.
  void add_listed(std::uint64_t base, std::uint64_t record, const RawAttribute& attribute);
  // One of several parts of an attribute's clusters, of any file.
  void add_part(std::uint64_t base, const RawAttribute& attribute);

  // Throws Inconsistency unless each list names what there is, and the parts of each attribute
  // amount to the whole.
  void check(std::uint32_t cluster_size) const;

 private:
  struct Part {
    std::uint64_t first = 0;  // vcn
    std::uint64_t last = 0;
    std::uint64_t allocated = 0;  // bytes; of the first part
    bool sparse = false;
  };
  using Attribute = std::tuple<std::uint64_t, std::uint32_t, std::u16string>;

  std::map<std::uint64_t, std::uint64_t> balance_;  // by base: lists and attributes cancel out
  std::map<Attribute, std::vector<Part>> parts_;
};

}  // namespace driveprep::ntfs::check

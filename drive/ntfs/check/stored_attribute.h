// The bytes of an attribute, wherever they are. Internal.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "drive/ntfs/check/raw_record.h"
#include "drive/ntfs/library.h"

namespace driveprep::ntfs::check {

// Collected from the records that describe it, which may come in any order.
class StoredAttribute {
 public:
  // `spans`: cluster_spans() of the attribute; none for a resident one.
  void add(const RawAttribute& attribute, const std::vector<ClusterSpan>& spans);
  std::uint64_t size() const { return size_; }  // bytes
  // Throws FormatError where the attribute has a hole or ends too early.
  void read(library::Storage& volume, std::uint32_t cluster_size, std::uint64_t offset,
            MutableByteView out) const;
  Bytes read_all(library::Storage& volume, std::uint32_t cluster_size) const;

 private:
  struct Piece {
    std::uint64_t vcn = 0;
    std::uint64_t first = 0;
    std::uint64_t count = 0;
  };

  std::uint64_t size_ = 0;
  Bytes resident_;
  std::vector<Piece> pieces_;  // by vcn
};

}  // namespace driveprep::ntfs::check

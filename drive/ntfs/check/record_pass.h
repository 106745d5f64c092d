// Reads all records of $MFT once, in their order, and gathers what they say together. Internal.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "drive/block/block_device.h"
#include "drive/ntfs/check/index_walk.h"
#include "drive/ntfs/check/name_balance.h"
#include "drive/ntfs/check/record_lists.h"
#include "drive/ntfs/interval_set.h"
#include "drive/ntfs/read_ahead.h"
#include "drive/ntfs/volume_reader.h"

namespace driveprep::ntfs::check {

// An attribute of a record: its number there, and the name.
using AttributeName = std::pair<std::uint64_t, std::u16string>;

struct LargeIndex {
  std::uint64_t owner = 0;  // reference of the record it belongs to
  Index index;
};

struct Gathered {
  explicit Gathered(std::uint64_t records) : in_use(records), names(records) {}

  std::vector<bool> in_use;  // by record
  IntervalSet clusters;      // of all attributes, in clusters
  NameBalance names;         // without the entries of the indexes below
  RecordLists lists;
  std::map<AttributeName, LargeIndex>
      indexes;                           // those that do not end in their root, or of $Secure
  std::set<std::uint32_t> security_ids;  // that records name
  StoredAttribute record_bitmap;         // $BITMAP of $MFT
  StoredAttribute security;              // $SDS of $Secure
};

class RecordPass {
 public:
  // `mft`: of the file $MFT. `order`: of the names of a directory. All must outlive this.
  RecordPass(const block::ReadableDevice& volume, library::Storage& pieces,
             const Geometry& geometry, const Order& order, const FileInfo& mft);

  // Throws Inconsistency; stops early when `stop` is set.
  void run(const std::atomic<bool>* stop);
  Gathered& gathered() { return gathered_; }

 private:
  void look_at(std::uint64_t number, MutableByteView record);
  void take(const RawAttribute& attribute, bool has_list);
  void take_clusters(const RawAttribute& attribute, const std::vector<ClusterSpan>& spans);
  void take_index(const RawAttribute& attribute, const std::vector<ClusterSpan>& spans);
  void take_list(const RawAttribute& attribute, const std::vector<ClusterSpan>& spans);

  const block::ReadableDevice& volume_;
  library::Storage& pieces_;
  const Geometry& geometry_;
  const Order& order_;
  const FileInfo& mft_;
  Gathered gathered_;
  RawRecord record_;  // the one that is looked at
};

// Hands the entries of an index to `names` when it is that of a directory. Throws FormatError.
void walk_names(const LargeIndex& large, const std::u16string& name, library::Storage& pieces,
                const Geometry& geometry, const Order& order, NameBalance& names);

}  // namespace driveprep::ntfs::check

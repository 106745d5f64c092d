// New records at the end of $MFT, many at a time.
//
// The library looks for a free record, formats it and changes $MFT's sizes for each file anew. This
// reserves a batch of numbers behind the last initialised record, hands them out in order, and
// writes the batch at once. The library may take records of its own in between; it must not open
// one of these before commit().
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "drive/ntfs/library.h"
#include "drive/ntfs/types.h"

namespace driveprep::ntfs {

class RecordSupply {
 public:
  // Whole clusters for $MFT or for its bitmap: contiguous, at `wanted` where those are free, at
  // most `clusters` of them, at least one; marked as used.
  using FindClusters = std::function<ByteRange(std::uint64_t wanted, std::uint64_t clusters)>;

  // `planned`: records the volume will have; $MFT grows in portions without it. All must outlive
  // this.
  RecordSupply(library::Mount& mount, const Geometry& geometry, std::uint64_t planned,
               FindClusters find_clusters);

  // A zeroed record to be filled in, and its number. The view is valid until the next call.
  struct Blank {
    std::uint64_t number = 0;
    MutableByteView record;
  };
  Blank next();
  // Takes the last one back.
  void cancel() { --count_; }

  // All records that were handed out are in $MFT; the others of the batch are free again.
  void commit();
  std::uint64_t pending_bytes() const { return count_ * record_size_; }

 private:
  static constexpr std::uint64_t kBatchBytes = 64 * kKiB;

  void reserve_batch();
  void set_initialized(std::uint64_t records);
  MFT_RECORD* record_at(std::uint64_t index);
  void make_room(std::uint64_t records);
  void grow(ntfs_attr* attribute, std::uint64_t bytes);
  void cover_in_bitmap(std::uint64_t records);

  library::Mount& mount_;
  const std::uint64_t record_size_;
  const std::uint64_t cluster_size_;
  const std::uint64_t planned_;
  FindClusters find_clusters_;
  Bytes batch_;
  bool reserved_ = false;
  std::uint64_t first_ = 0;       // number of the first record of the batch
  std::uint64_t capacity_ = 0;    // records of the batch
  std::uint64_t count_ = 0;       // handed out
  std::uint64_t least_size_ = 0;  // of $MFT's data when the batch was reserved
};

}  // namespace driveprep::ntfs

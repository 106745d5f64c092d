#include "drive/ntfs/record_supply.h"

#include <algorithm>
#include <utility>

#include "drive/ntfs/file_layout.h"

namespace driveprep::ntfs {
namespace {

constexpr std::uint64_t kMostAhead = 4 * kMiB;  // by which $MFT grows at once
constexpr std::uint64_t kLeastAhead = 64 * kKiB;
constexpr std::uint64_t kBitmapStep = 8;  // bytes, as the library and Windows grow it

std::uint64_t allocated(const ntfs_attr* attribute) {
  return static_cast<std::uint64_t>(attribute->allocated_size);
}

std::uint64_t initialized(const ntfs_attr* attribute) {
  return static_cast<std::uint64_t>(attribute->initialized_size);
}

}  // namespace

RecordSupply::RecordSupply(library::Mount& mount, const Geometry& geometry, std::uint64_t planned,
                           FindClusters find_clusters)
    : mount_(mount),
      record_size_(geometry.record_size),
      cluster_size_(geometry.cluster_size),
      planned_(planned),
      find_clusters_(std::move(find_clusters)),
      batch_(kBatchBytes) {}

RecordSupply::Blank RecordSupply::next() {
  if (reserved_ && count_ == capacity_) commit();
  if (!reserved_) reserve_batch();
  const MutableByteView record =
      MutableByteView(batch_).subspan(count_ * record_size_, record_size_);
  std::ranges::fill(record, std::byte{0});
  return {first_ + count_++, record};
}

// From here on the library takes its own records from behind the batch.
void RecordSupply::reserve_batch() {
  ntfs_volume* volume = mount_.volume();
  ntfs_attr* mft = volume->mft_na;
  first_ = initialized(mft) / record_size_;
  // Batches end at multiples of their size, so that none shares a block of the cache with the next.
  const std::uint64_t whole = batch_.size() / record_size_;
  capacity_ = whole - first_ % whole;
  least_size_ = static_cast<std::uint64_t>(mft->data_size);
  make_room(first_ + capacity_);
  if (ntfs_bitmap_set_run(volume->mftbmp_na, static_cast<s64>(first_),
                          static_cast<s64>(capacity_)) != 0) {
    mount_.fail("mark records as used");
  }
  set_initialized(first_ + capacity_);
  reserved_ = true;
}

void RecordSupply::set_initialized(std::uint64_t records) {
  ntfs_attr* mft = mount_.volume()->mft_na;
  const std::uint64_t end = records * record_size_;
  library::set_sizes(mount_, mft, allocated(mft), std::max(least_size_, end), end);
}

void RecordSupply::commit() {
  if (!reserved_) return;
  ntfs_volume* volume = mount_.volume();
  ntfs_attr* mft = volume->mft_na;
  const std::uint64_t unused = capacity_ - count_;
  std::uint64_t written = count_;
  if (unused != 0 && initialized(mft) == (first_ + capacity_) * record_size_) {
    set_initialized(first_ + count_);
  } else {
    // The library has gone on behind the batch: what is not used of it becomes free records.
    for (; written < capacity_; ++written) {
      MFT_RECORD* blank = record_at(written);
      if (ntfs_mft_record_layout(volume, MK_MREF(first_ + written, 0), blank) != 0) {
        mount_.fail("format a record");
      }
    }
  }
  const auto count = static_cast<s64>(written);
  if (written != 0 &&
      ntfs_attr_mst_pwrite(mft, static_cast<s64>(first_ * record_size_), count,
                           static_cast<u32>(record_size_), batch_.data()) != count) {
    mount_.fail("write records");
  }
  if (unused != 0 && ntfs_bitmap_clear_run(volume->mftbmp_na, static_cast<s64>(first_ + count_),
                                           static_cast<s64>(unused)) != 0) {
    mount_.fail("free records");
  }
  volume->free_mft_records -= static_cast<s64>(count_);
  count_ = 0;
  reserved_ = false;
}

MFT_RECORD* RecordSupply::record_at(std::uint64_t index) {
  return static_cast<MFT_RECORD*>(static_cast<void*>(batch_.data() + index * record_size_));
}

// Clusters and bits for so many records in all; they count as initialised only when written.
void RecordSupply::make_room(std::uint64_t records) {
  ntfs_attr* mft = mount_.volume()->mft_na;
  cover_in_bitmap(records);
  while (allocated(mft) < records * record_size_) {
    const std::uint64_t missing = records * record_size_ - allocated(mft);
    const std::uint64_t planned =
        std::max(planned_ * record_size_, allocated(mft)) - allocated(mft);
    grow(mft, std::max({missing, std::min(planned, kMostAhead), kLeastAhead}));
  }
}

void RecordSupply::cover_in_bitmap(std::uint64_t records) {
  ntfs_volume* volume = mount_.volume();
  ntfs_attr* bitmap = volume->mftbmp_na;
  const std::uint64_t needed = round_up((records + 7) / 8, kBitmapStep);
  const std::uint64_t have = initialized(bitmap);
  if (needed <= have) return;
  while (allocated(bitmap) < needed) grow(bitmap, needed - allocated(bitmap));
  library::set_sizes(mount_, bitmap, allocated(bitmap),
                     std::max(static_cast<std::uint64_t>(bitmap->data_size), needed), needed);
  const Bytes zeros(needed - have);
  const auto length = static_cast<s64>(zeros.size());
  if (ntfs_attr_pwrite(bitmap, static_cast<s64>(have), length, zeros.data()) != length) {
    mount_.fail("clear new bits of $MFT's bitmap");
  }
  volume->free_mft_records += length * 8;
}

void RecordSupply::grow(ntfs_attr* attribute, std::uint64_t bytes) {
  const std::vector<ByteRange> held = library::read_ranges(mount_, attribute);
  const std::uint64_t behind = held.empty() ? 0 : held.back().end() / cluster_size_;
  library::extend_allocation(mount_, attribute,
                             find_clusters_(behind, (bytes + cluster_size_ - 1) / cluster_size_));
}

}  // namespace driveprep::ntfs

#include "drive/ntfs/check/stored_attribute.h"

#include <algorithm>

#include "base/units.h"

namespace driveprep::ntfs::check {
namespace {

// No attribute that is read at once is larger: $SDS with all the permissions of a volume.
constexpr std::uint64_t kLargest = 64 * kMiB;

}  // namespace

void StoredAttribute::add(const RawAttribute& attribute, const std::vector<ClusterSpan>& spans) {
  if (attribute.resident) {
    resident_.assign(attribute.value.begin(), attribute.value.end());
    size_ = resident_.size();
    return;
  }
  if (attribute.first_vcn == 0) size_ = attribute.size;
  std::uint64_t vcn = attribute.first_vcn;
  for (const ClusterSpan& span : spans) {
    if (span.first) {
      const Piece piece{vcn, *span.first, span.count};
      pieces_.insert(std::ranges::upper_bound(pieces_, vcn, {}, &Piece::vcn), piece);
    }
    vcn += span.count;
  }
}

void StoredAttribute::read(library::Storage& volume, std::uint32_t cluster_size,
                           std::uint64_t offset, MutableByteView out) const {
  if (offset > size_ || out.size() > size_ - offset) throw FormatError("it ends too early");
  if (pieces_.empty() && resident_.size() == size_) {
    std::copy_n(resident_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return;
  }
  for (std::size_t done = 0; done < out.size();) {
    const std::uint64_t at = offset + done;
    const std::uint64_t vcn = at / cluster_size;
    auto piece = std::ranges::upper_bound(pieces_, vcn, {}, &Piece::vcn);
    if (piece == pieces_.begin() || vcn >= std::prev(piece)->vcn + std::prev(piece)->count) {
      throw FormatError("a part of it has no clusters");
    }
    --piece;
    const std::uint64_t inside = at - piece->vcn * cluster_size;
    const std::uint64_t count =
        std::min<std::uint64_t>(out.size() - done, piece->count * cluster_size - inside);
    volume.read(piece->first * cluster_size + inside, out.subspan(done, count));
    done += count;
  }
}

Bytes StoredAttribute::read_all(library::Storage& volume, std::uint32_t cluster_size) const {
  if (size_ > kLargest) throw FormatError("it is larger than it can be");
  Bytes bytes(size_);
  read(volume, cluster_size, 0, bytes);
  return bytes;
}

}  // namespace driveprep::ntfs::check

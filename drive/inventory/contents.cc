#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/posix.h"
#include "base/zeros.h"
#include "drive/block/aligned_buffer.h"
#include "drive/inventory/signatures.h"

namespace driveprep::inventory {
namespace {

constexpr std::uint64_t kReadAllLimit = kGiB;
constexpr std::uint64_t kSampledEnds = 16 * kMiB;
constexpr std::uint64_t kSample = kMiB;
constexpr std::uint64_t kSampleStride = 64 * kMiB;
// 1 GiB of samples takes seconds on a slow disk, whatever its size.
constexpr std::uint64_t kMostSamples = 1024;
constexpr std::size_t kPiece = 64 * kKiB;
constexpr std::size_t kMostUnreadable = 64;  // pieces

// Where the file system holds data for the file; at most `most` extents, and `complete` tells
// whether that was all. A file system that cannot tell says: everything is data.
struct Extents {
  std::vector<ByteRange> ranges;
  bool complete = true;
};

Extents data_extents(int fd, const ByteRange& area, std::size_t most) {
  Extents extents;
  for (std::uint64_t at = area.offset; at < area.end();) {
    if (extents.ranges.size() == most) {
      extents.complete = false;
      return extents;
    }
    const off_t data = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) return extents;
    if (data < 0) return {{area}, true};
    const off_t hole = ::lseek(fd, data, SEEK_HOLE);
    const std::uint64_t begin = static_cast<std::uint64_t>(data);
    const std::uint64_t end =
        hole <= data ? area.end() : std::min(static_cast<std::uint64_t>(hole), area.end());
    if (begin >= end) return extents;
    extents.ranges.push_back({begin, end - begin});
    at = end;
  }
  return extents;
}

std::vector<ByteRange> sample(const ByteRange& area, const Extents& extents) {
  std::vector<ByteRange> ranges = {{area.offset, std::min(area.length, kSampledEnds)}};
  for (const ByteRange& extent : extents.ranges) {
    ranges.push_back({extent.offset, std::min(extent.length, kSample)});
  }
  const std::uint64_t stride = std::max(kSampleStride, round_up(area.length / kMostSamples, kMiB));
  for (std::uint64_t at = area.offset + stride; at < area.end(); at += stride) {
    ranges.push_back({at, std::min(kSample, area.end() - at)});
  }
  if (area.length > kSampledEnds) ranges.push_back({area.end() - kSampledEnds, kSampledEnds});
  std::ranges::sort(ranges);
  return ranges;
}

// Digests every piece that is not all zeros: holes and written zeros are the same contents.
class Scanner {
 public:
  Scanner(int fd, const ByteRange& area, const std::string& name, Unreadable unreadable)
      : fd_(fd), area_(area), name_(name), unreadable_(unreadable), looked_to_(area.offset) {}

  // Looks at whole pieces of a fixed grid, so that the same data in other extents, or with written
  // zeros around it, gives the same digest.
  void look_at(const ByteRange& range) {
    const std::uint64_t base = area_.offset;
    const std::uint64_t end = std::min(base + round_up(range.end() - base, kPiece), area_.end());
    std::uint64_t at = std::max(base + round_down(range.offset - base, kPiece), looked_to_);
    for (; at < end; at += kPiece) {
      piece(at, static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, end - at)));
    }
    looked_to_ = std::max(looked_to_, end);
  }

  std::optional<std::uint64_t> first_data() const { return first_data_; }
  std::optional<std::uint64_t> first_unreadable() const { return first_unreadable_; }

  Sha256 digest(const std::string& description) {
    digest_.update(as_bytes(description));
    const Bytes bytes = digest_.finish();
    Sha256 result{};
    std::ranges::copy(bytes, result.begin());
    return result;
  }

 private:
  void piece(std::uint64_t at, std::size_t length) {
    const MutableByteView part = buffer_.span().first(length);
    if (!read(at, part) || all_zero(part)) return;
    if (!first_data_) {
      const auto nonzero =
          std::ranges::find_if(part, [](std::byte b) { return b != std::byte{0}; });
      first_data_ = at + static_cast<std::uint64_t>(nonzero - part.begin());
    }
    ByteWriter place;
    place.u64(at).u64(length);
    digest_.update(place.view());
    digest_.update(part);
  }

  bool read(std::uint64_t at, MutableByteView part) {
    try {
      posix::pread_exact(fd_, at, part, name_, ErrorKind::kBusy);
      return true;
    } catch (const Error&) {
      // Beyond a number of them it is no matter of some bad sectors, and each takes seconds.
      if (unreadable_ == Unreadable::kFail || ++unread_ > kMostUnreadable) throw;
      if (!first_unreadable_) first_unreadable_ = at;
      return false;
    }
  }

  int fd_;
  ByteRange area_;
  const std::string& name_;
  Unreadable unreadable_;
  std::size_t unread_ = 0;
  std::optional<std::uint64_t> first_unreadable_;
  block::AlignedBuffer buffer_{kPiece};
  std::uint64_t looked_to_;
  std::optional<std::uint64_t> first_data_;
  Digest digest_{Digest::Algorithm::kSha256};
};

}  // namespace

Contents examine_contents(int fd, const ByteRange& area, SectorSize sector, const std::string& name,
                          Unreadable unreadable) {
  Contents contents;
  contents.signatures = probe_signatures(fd, area, sector, name);

  const Extents extents = data_extents(fd, area, kMostSamples);
  std::uint64_t held = 0;
  for (const ByteRange& extent : extents.ranges) held += extent.length;
  const bool small = extents.complete && held <= kReadAllLimit;
  contents.search = small ? Search::kComplete : Search::kSampled;

  Scanner scanner(fd, area, name, unreadable);
  for (const ByteRange& range : small ? extents.ranges : sample(area, extents)) {
    scanner.look_at(range);
  }
  contents.first_data = scanner.first_data();

  contents.description = describe(contents.signatures);
  if (contents.description.empty() && contents.first_data) {
    contents.description = "unknown data at offset " + std::to_string(*contents.first_data);
  } else if (contents.description.empty() && !contents.signatures.partitions.empty()) {
    contents.description = "partitions";
  } else if (contents.description.empty()) {
    contents.description =
        small ? "empty" : "more data than can be looked at, zeros in all samples of it";
  }
  if (const std::optional<std::uint64_t> at = scanner.first_unreadable()) {
    contents.first_data = std::min(contents.first_data.value_or(*at), *at);
    contents.description += ", and what cannot be read, at offset " + std::to_string(*at);
  }
  contents.digest = scanner.digest(contents.description);
  return contents;
}

}  // namespace driveprep::inventory

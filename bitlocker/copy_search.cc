#include "bitlocker/copy_search.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "bitlocker/layout.h"
#include "bitlocker/metadata.h"
#include "drive/block/aligned_buffer.h"

namespace driveprep::bitlocker {
namespace {

constexpr std::uint64_t kStep = 512;  // every copy starts on a sector
constexpr std::uint64_t kChunk = 4 * kMiB;
constexpr std::uint64_t kSmallVolume = 4 * kGiB;
constexpr std::uint64_t kFirstCopy = 33 * kMiB;  // where the first one lies unless the MFT does
constexpr std::uint64_t kHead = 512 * kMiB;
constexpr std::uint64_t kAround = 64 * kMiB;  // of a likely place, on both sides

class Finder {
 public:
  explicit Finder(const block::ReadableDevice& partition) : partition_(partition) {}

  // Looks at one chunk. Chunks do not overlap: a signature never crosses a multiple of 512.
  std::optional<std::array<std::uint64_t, 3>> look(std::uint64_t offset, std::uint64_t length) {
    const MutableByteView chunk = chunk_.span().first(length);
    if (!read(offset, chunk)) return std::nullopt;
    for (std::uint64_t at = 0; at + kMetadataSignature.size() <= length; at += kStep) {
      if (as_text(chunk.subspan(at, kMetadataSignature.size())) != kMetadataSignature) continue;
      if (auto offsets = copy_at(offset + at)) return offsets;
    }
    return std::nullopt;
  }

 private:
  bool read(std::uint64_t offset, MutableByteView out) const {
    try {
      partition_.read(offset, out);
      return true;
    } catch (const Error&) {  // a damaged place says nothing about the others
      return false;
    }
  }

  std::optional<std::array<std::uint64_t, 3>> copy_at(std::uint64_t offset) {
    if (partition_.size() - offset < kMetadataSize) return std::nullopt;
    Bytes block(kMetadataSize);
    if (!read(offset, block)) return std::nullopt;
    try {
      const Metadata metadata = parse_metadata(block);
      if (!crc_matches(metadata, block)) return std::nullopt;
      if (std::ranges::find(metadata.offsets, offset) == metadata.offsets.end()) {
        return std::nullopt;
      }
      return metadata.offsets;
    } catch (const FormatError&) {
      return std::nullopt;
    }
  }

  const block::ReadableDevice& partition_;
  block::AlignedBuffer chunk_{kChunk};
};

}  // namespace

// The rules of Windows are not fully known; see spec "Placement".
std::vector<ByteRange> likely_places(std::uint64_t size) {
  if (size <= kSmallVolume) return {{0, size}};
  std::vector<ByteRange> result{{0, kHead}};
  const auto around = [&](std::uint64_t place) {
    const std::uint64_t begin =
        std::max(round_down(place - std::min(place, kAround), kChunk), kHead);
    const std::uint64_t end = std::min(place + kAround, size);
    if (begin < end) result.push_back({begin, end - begin});
  };
  const std::uint64_t third = (size - kFirstCopy) / 3;
  for (const std::uint64_t step : {size / 9, third}) {
    for (const std::uint64_t n : {1, 2}) around(kFirstCopy + n * step);
  }
  return result;
}

std::optional<std::array<std::uint64_t, 3>> find_copies(
    const block::ReadableDevice& partition, bool everywhere,
    const std::function<bool(std::uint64_t, std::uint64_t)>& on_progress) {
  const std::uint64_t size = partition.size();
  const std::vector<ByteRange> ranges =
      everywhere ? std::vector<ByteRange>{{0, size}} : likely_places(size);
  std::uint64_t total = 0;
  for (const ByteRange& range : ranges) total += range.length;
  Finder finder(partition);
  std::uint64_t done = 0;
  for (const ByteRange& range : ranges) {
    for (std::uint64_t at = range.offset; at < range.end(); at += kChunk) {
      const std::uint64_t length = std::min(kChunk, range.end() - at);
      if (auto found = finder.look(at, length)) return found;
      done += length;
      if (on_progress && !on_progress(done, total)) return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace driveprep::bitlocker

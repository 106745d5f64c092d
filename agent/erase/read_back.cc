#include "agent/erase/read_back.h"

#include <algorithm>

#include "base/zeros.h"
#include "drive/block/aligned_buffer.h"

namespace driveprep::erase {
namespace {

class Reading {
 public:
  Reading(const block::ReadableDevice& disk, Method method) : disk_(disk), method_(method) {}

  // What it holds; empty when it cannot be read.
  ByteView sample(std::uint64_t offset) {
    const std::uint64_t length = std::min<std::uint64_t>(kSampleBytes, disk_.size() - offset);
    const MutableByteView bytes = buffer_.span().first(length);
    ++found_.samples;
    try {
      disk_.read(offset, bytes);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kBusy) throw;  // it is gone: nothing can be said of it
      ++found_.unreadable;
      if (!found_.first_unreadable) found_.first_unreadable = offset;
      fail(offset);
      return {};
    }
    if (all_zero(bytes)) {
      ++found_.zero;
    } else {
      ++found_.other;
      if (method_ == Method::kOverwrite) fail(offset);
    }
    return bytes;
  }

  // No block of it may hold what it held.
  void whole(const KeyPlace& place) {
    ++found_.key_places;
    for (std::uint64_t at = 0; at < place.range.length; at += kSampleBytes) {
      const ByteView now = sample(place.range.offset + at);
      if (method_ == Method::kOverwrite || now.empty() || all_zero(now) || place.held.empty()) {
        continue;  // zero, or told by the sample
      }
      const std::size_t length = std::min<std::size_t>(now.size(), place.held.size() - at);
      if (std::ranges::equal(now.first(length), ByteView(place.held).subspan(at, length))) {
        fail(place.range.offset + at);
      }
    }
  }

  void changed(const HeldSample& before) {
    const ByteView now = sample(before.offset);
    if (std::ranges::equal(now, before.held)) {
      fail(before.offset);
    } else if (!now.empty()) {
      ++found_.changed;
    }
  }

  void fail(std::uint64_t offset) {
    ++found_.failed;
    if (!found_.first_failed) found_.first_failed = offset;
  }

  void stop() { found_.stopped = true; }
  ReadBack result() const { return found_; }

 private:
  const block::ReadableDevice& disk_;
  Method method_;
  block::AlignedBuffer buffer_{kSampleBytes};
  ReadBack found_;
};

}  // namespace

ReadBack read_back(const block::ReadableDevice& disk, const KeyPlaces& before, Method method,
                   std::uint64_t seed, const std::vector<HeldSample>& held,
                   const SearchWatch& watch) {
  Reading reading(disk, method);
  for (const KeyPlace& place : before.places) {
    if (watch.stopping()) break;
    reading.whole(place);
  }
  for (const std::uint64_t place : random_places(disk.size(), seed)) {
    if (watch.stopping()) break;
    reading.sample(place);
  }
  for (const HeldSample& each : held) {
    if (watch.stopping()) break;
    reading.changed(each);
  }
  // Looked for once more: nothing may lead to a volume, wherever it was.
  KeyPlaces left = named_key_places(disk, before.areas);
  left.everywhere = before.everywhere;
  if (!search_key_places(disk, left, watch)) reading.stop();
  if (left.open_to_somebody()) reading.fail(left.places.front().range.offset);
  return reading.result();
}

}  // namespace driveprep::erase

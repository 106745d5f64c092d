#include "agent/intake/places.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include "base/bytes.h"

namespace driveprep::intake {
namespace {

constexpr std::uint64_t kAlignment = 4096;
constexpr std::uint64_t kWholeGrain = 4 * kMiB;
constexpr std::uint64_t kFirstPowerOfTwo = 32 * kMiB;
constexpr std::uint64_t kLargestPlace = kMiB;
// A sample shall remain one, also of a device of 64 MiB.
constexpr std::uint64_t kLeastPlacesInDevice = 1024;
constexpr unsigned kParts = 64;
constexpr unsigned kHalvings = 8;
constexpr int kTries = 8;

class Chosen {
 public:
  explicit Chosen(std::uint64_t size) : size_(size) {}

  // Whether it was free. What would reach over an end of the device is not taken.
  bool take(std::uint64_t offset, std::uint64_t length) {
    const ByteRange range{round_down(offset, kAlignment), length};
    if (range.end() > size_) return false;
    const bool free = std::ranges::none_of(
        ranges_, [&](const ByteRange& other) { return other.overlaps(range); });
    if (free) ranges_.push_back(range);
    return free;
  }

  std::vector<ByteRange> ranges() && { return std::move(ranges_); }

 private:
  std::uint64_t size_;
  std::vector<ByteRange> ranges_;
};

}  // namespace

Places Places::sample(std::uint64_t size, std::uint64_t seed) {
  require(size >= kSmallestTested && size % 512 == 0, "a device that can be tested");
  const std::uint64_t length =
      std::clamp(round_down(size / kLeastPlacesInDevice, kAlignment), kAlignment, kLargestPlace);
  Chosen chosen(size);
  const std::uint64_t last = round_down(size - kEndBytes, kAlignment);
  chosen.take(last, size - last);
  chosen.take(0, kEndBytes);
  for (std::uint64_t power = kFirstPowerOfTwo; power < size && power != 0; power <<= 1) {
    chosen.take(power - length, length);
    chosen.take(power, length);
  }
  for (unsigned halving = 1; halving <= kHalvings; ++halving) {
    chosen.take(size >> halving, length);
  }
  std::mt19937_64 random(seed);
  for (unsigned part = 0; part < kParts; ++part) {
    const std::uint64_t begin = size / kParts * part;
    for (int left = kTries; left > 0; --left) {
      if (chosen.take(begin + random() % (size / kParts - length), length)) break;
    }
  }

  Places places(size);
  places.chosen_ = std::move(chosen).ranges();
  // After the end of the device along it: the heads of a disk need not go to and fro.
  std::sort(places.chosen_.begin() + 1, places.chosen_.end());
  places.count_ = places.chosen_.size();
  return places;
}

Places Places::whole(std::uint64_t size) {
  require(size >= kSmallestTested, "a device that can be tested");
  Places places(size);
  places.count_ = (size + kWholeGrain - 1) / kWholeGrain;
  require(places.count_ <= std::numeric_limits<std::uint32_t>::max(), "a device of this size");
  return places;
}

ByteRange Places::at(std::size_t index) const {
  require(index < count_, "a place of the plan");
  if (!chosen_.empty()) return chosen_[index];
  const std::uint64_t begin = (index == 0 ? count_ - 1 : index - 1) * kWholeGrain;
  return {begin, std::min(kWholeGrain, size_ - begin)};
}

std::uint64_t Places::bytes() const {
  if (chosen_.empty()) return size_;
  return std::accumulate(
      chosen_.begin(), chosen_.end(), std::uint64_t{0},
      [](std::uint64_t sum, const ByteRange& each) { return sum + each.length; });
}

std::vector<std::uint32_t> random_order(std::size_t count, std::uint64_t seed) {
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  std::mt19937_64 random(seed);
  // Not std::shuffle: the order shall follow from the seed alone, with every library.
  for (std::size_t left = count; left > 1; --left)
    std::swap(order[left - 1], order[random() % left]);
  return order;
}

}  // namespace driveprep::intake

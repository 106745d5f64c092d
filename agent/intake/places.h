// Where the intake test writes: a pure function of the drive's size and a number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/units.h"

namespace driveprep::intake {

// The smallest device that a test is planned for.
inline constexpr std::uint64_t kSmallestTested = 16 * kMiB;
// What both ends of a drive are tested, and cleared, by.
inline constexpr std::uint64_t kEndBytes = kMiB;

enum class Coverage {
  kSample,  // chosen places
  kWhole,   // every byte
};

// Disjoint ranges in the order in which they are written. The end of the device comes first: a
// drive that has no memory there shows it before anything else is lost, and counterfeit ones hang.
class Places {
 public:
  // Both ends (1 MiB each); below and at every power of two from 32 MiB on, where address lines
  // end, 2 TiB (2^32 sectors of 512 bytes) among them; the halves of the size, halves of these and
  // so on; and one place in each of 64 equal parts of the device, chosen by `seed`. Up to 1 MiB
  // each, less on a small device. All begin at a multiple of 4096. `size`: bytes, a multiple of
  // 512, kSmallestTested at least.
  static Places sample(std::uint64_t size, std::uint64_t seed);
  // The whole device in ranges of 4 MiB.
  static Places whole(std::uint64_t size);

  std::size_t count() const { return count_; }
  ByteRange at(std::size_t index) const;
  std::uint64_t device_size() const { return size_; }
  std::uint64_t bytes() const;  // of all of them

 private:
  explicit Places(std::uint64_t size) : size_(size) {}

  std::uint64_t size_;
  std::size_t count_ = 0;
  std::vector<ByteRange> chosen_;  // of a sample
};

// The numbers below `count` in an order chosen by `seed`. A drive that keeps only what was written
// last, or what is read in a row, shows it when it is read like this.
std::vector<std::uint32_t> random_order(std::size_t count, std::uint64_t seed);

}  // namespace driveprep::intake

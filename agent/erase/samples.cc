#include "agent/erase/samples.h"

#include <algorithm>
#include <random>

namespace driveprep::erase {
namespace {

constexpr std::size_t kRandomSamples = 1000;

}  // namespace

std::vector<std::uint64_t> random_places(std::uint64_t disk_bytes, std::uint64_t seed) {
  const std::uint64_t blocks =
      round_up(disk_bytes, kSampleBytes) / kSampleBytes;  // the last may be short
  std::vector<std::uint64_t> places = {0, (blocks - 1) * kSampleBytes};
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::uint64_t> any(0, blocks - 1);
  for (std::size_t i = 0; i < kRandomSamples; ++i) places.push_back(any(random) * kSampleBytes);
  std::ranges::sort(places);
  return places;
}

}  // namespace driveprep::erase

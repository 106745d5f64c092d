#include "agent/intake/places.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

using namespace driveprep;
using namespace driveprep::intake;

namespace {

std::vector<ByteRange> all(const Places& places) {
  std::vector<ByteRange> ranges;
  for (std::size_t i = 0; i < places.count(); ++i) ranges.push_back(places.at(i));
  return ranges;
}

std::uint64_t end_of_neighbours(std::vector<ByteRange> ranges) {
  std::ranges::sort(ranges);
  std::uint64_t overlapping = 0;
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].offset < ranges[i - 1].end()) ++overlapping;
  }
  return overlapping;
}

bool holds(const std::vector<ByteRange>& ranges, std::uint64_t byte) {
  return std::ranges::any_of(ranges, [&](const ByteRange& each) { return each.contains(byte); });
}

}  // namespace

TEST_CASE("a sample has both ends, every power of two, and something of every part") {
  const std::uint64_t size =
      GENERATE(16 * kMiB, 64 * kMiB, 96 * kMiB + 512, 1'000'204'886'016, 4'000'787'030'016,
               16'000'900'661'248, 2 * kTiB, 2 * kTiB + 4096);
  CAPTURE(size);
  const Places places = Places::sample(size, 7);
  const std::vector<ByteRange> ranges = all(places);

  CHECK(end_of_neighbours(ranges) == 0);
  CHECK(ranges.front().end() == size);
  CHECK(ranges.front().length >= kEndBytes);
  CHECK(ranges[1] == ByteRange{0, kEndBytes});
  for (const ByteRange& each : ranges) {
    CHECK(each.end() <= size);
    CHECK(each.offset % 4096 == 0);
    CHECK(each.length % 512 == 0);
    CHECK(each.length > 0);
  }
  for (std::uint64_t power = 32 * kMiB; power < size; power *= 2) {
    CAPTURE(power);
    CHECK(holds(ranges, power - 1));
    CHECK(holds(ranges, power));
  }
  CHECK(holds(ranges, size / 2));
  CHECK(holds(ranges, size / 4));
  for (unsigned part = 0; part < 64; ++part) {
    const ByteRange range{size / 64 * part, size / 64};
    CHECK(std::ranges::any_of(ranges, [&](const ByteRange& each) { return each.overlaps(range); }));
  }
  CHECK(places.bytes() < std::min<std::uint64_t>(size / 2, 200 * kMiB));
  CHECK(std::is_sorted(ranges.begin() + 1, ranges.end()));
}

TEST_CASE("the sample follows from size and seed") {
  CHECK(all(Places::sample(kTiB, 1)) == all(Places::sample(kTiB, 1)));
  CHECK(all(Places::sample(kTiB, 1)) != all(Places::sample(kTiB, 2)));
}

TEST_CASE("the whole drive is covered without a gap, its end first") {
  const std::uint64_t size = GENERATE(16 * kMiB, 64 * kMiB + 512, 100 * kMiB - 4096);
  const Places places = Places::whole(size);
  std::vector<ByteRange> ranges = all(places);
  CHECK(ranges.front().end() == size);
  CHECK(places.bytes() == size);
  std::ranges::sort(ranges);
  std::uint64_t at = 0;
  for (const ByteRange& each : ranges) {
    CHECK(each.offset == at);
    at = each.end();
  }
  CHECK(at == size);
}

TEST_CASE("a random order has everything once, and is one") {
  const std::vector<std::uint32_t> order = random_order(1000, 5);
  CHECK(std::set<std::uint32_t>(order.begin(), order.end()).size() == 1000);
  CHECK(order != random_order(1000, 6));
  CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
  CHECK(random_order(0, 1).empty());
}

TEST_CASE("no test is planned for next to nothing") {
  CHECK_THROWS_AS(Places::sample(kSmallestTested - 512, 1), Error);
}

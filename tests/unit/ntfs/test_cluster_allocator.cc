#include <catch2/catch.hpp>
#include <algorithm>
#include <numeric>
#include <random>

#include "drive/ntfs/bit_runs.h"
#include "drive/ntfs/cluster_allocator.h"

using namespace driveprep;
using namespace driveprep::ntfs;

namespace {

class TestBitmap : public ClusterBitmap {
 public:
  explicit TestBitmap(std::uint64_t total) : used(total) {}
  std::uint64_t total_clusters() const override { return used.size(); }
  std::uint64_t free_clusters() const override {
    return static_cast<std::uint64_t>(std::ranges::count(used, false));
  }
  void read(std::uint64_t first_byte, MutableByteView out) override {
    bytes_read += out.size();
    std::ranges::fill(out, std::byte{0});
    for (std::size_t i = 0; i < out.size() * 8; ++i) {
      const std::uint64_t bit = first_byte * 8 + i;
      if (bit < used.size() && used[bit]) out[i / 8] |= std::byte{1} << (i % 8);
    }
  }
  void mark(std::uint64_t first, std::uint64_t count, bool value) override {
    for (std::uint64_t n = first; n < first + count; ++n) {
      if (used.at(n) == value) FAIL("cluster " << n << " is marked twice");
      used[n] = value;
    }
  }
  std::vector<bool> used;
  std::uint64_t bytes_read = 0;
};

}  // namespace

TEST_CASE("runs of bits are found like one by one, whatever the pieces") {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t total = 1 + random() % 2000;
    TestBitmap bitmap(total);
    for (std::uint64_t n = 0; n < total;) {
      const std::uint64_t length = random() % (round % 2 == 0 ? 5 : 300) + 1;
      const bool value = random() % 2 == 0;
      for (std::uint64_t i = 0; i < length && n < total; ++i) bitmap.used[n++] = value;
    }
    const bool wanted = random() % 2 == 0;
    std::vector<bool> seen(total, !wanted);
    std::uint64_t last_end = 0;
    BitRunScanner scanner(wanted, [&](std::uint64_t first, std::uint64_t count) {
      CHECK((first == 0 || first > last_end || last_end == 0));
      last_end = first + count;
      for (std::uint64_t n = first; n < first + count; ++n) seen[n] = wanted;
      return true;
    });
    for (std::uint64_t bit = 0; bit < total;) {
      const std::uint64_t count = std::min<std::uint64_t>((1 + random() % 40) * 64, total - bit);
      Bytes bytes((count + 7) / 8);
      bitmap.read(bit / 8, bytes);
      scanner.feed(bit, bytes, count);
      bit += count;
    }
    scanner.finish();
    CHECK(seen == bitmap.used);
  }
}

TEST_CASE("clusters come ascending and contiguous, broken only by clusters in use") {
  TestBitmap bitmap(10'000);
  bitmap.mark(1'500, 16, true);
  ClusterAllocator allocator(bitmap, 1'000, 256);
  CHECK(allocator.take(1) == std::vector<ClusterRun>{{1'000, 1}});
  CHECK(allocator.take(99) == std::vector<ClusterRun>{{1'001, 99}});
  CHECK(allocator.take(1'000) == std::vector<ClusterRun>{{1'100, 400}, {1'516, 600}});
}

TEST_CASE("what was marked ahead is returned, and only that") {
  TestBitmap bitmap(10'000);
  ClusterAllocator allocator(bitmap, 100, 1'000);
  allocator.take(10);
  CHECK(bitmap.free_clusters() < 9'990);
  CHECK(allocator.available() == 9'990);
  allocator.settle();
  CHECK(bitmap.free_clusters() == 9'990);
  CHECK(allocator.take(10) == std::vector<ClusterRun>{{110, 10}});
}

TEST_CASE("released clusters are not used again before they are settled") {
  TestBitmap bitmap(1'000);
  ClusterAllocator allocator(bitmap, 0, 64);
  const auto first = allocator.take(900);
  allocator.release(first[0]);
  CHECK(allocator.take(200).empty());
  allocator.settle();
  CHECK(bitmap.free_clusters() == 1'000);
  const auto again = allocator.take(500);
  CHECK(std::accumulate(again.begin(), again.end(), std::uint64_t{0},
                        [](std::uint64_t sum, const ClusterRun& run) { return sum + run.count; }) == 500);
}

TEST_CASE("the last cluster can be had, the zones before the start too, and then no more") {
  TestBitmap bitmap(5'000);
  bitmap.mark(4'000, 10, true);
  ClusterAllocator allocator(bitmap, 3'000, 512);
  std::uint64_t got = 0;
  for (auto runs = allocator.take(7); !runs.empty(); runs = allocator.take(7)) {
    for (const ClusterRun& run : runs) got += run.count;
  }
  CHECK(got == 4'990 / 7 * 7);
  CHECK(allocator.take(4'990 % 7 + 1).empty());
  CHECK_FALSE(allocator.take(4'990 % 7).empty());
  CHECK(bitmap.free_clusters() == 0);
}

TEST_CASE("a small file on a huge empty volume does not scan the whole bitmap") {
  TestBitmap bitmap(50'000'000);
  ClusterAllocator allocator(bitmap, 1'000, 262'144);
  allocator.take(1);
  CHECK(bitmap.bytes_read <= 256 * kKiB);
}

TEST_CASE("random taking, releasing and settling never hands out a cluster twice") {
  TestBitmap bitmap(20'000);
  std::mt19937 random(5);
  for (int i = 0; i < 50; ++i) {
    const std::uint64_t at = random() % 19'000;
    for (std::uint64_t n = at; n < at + random() % 100; ++n) bitmap.used[n] = true;
  }
  ClusterAllocator allocator(bitmap, 5'000, 700);
  std::vector<bool> owned(20'000);
  std::vector<ClusterRun> held;
  for (int step = 0; step < 3'000; ++step) {
    switch (random() % 4) {
      case 0:
        if (!held.empty()) {
          const std::size_t i = random() % held.size();
          for (std::uint64_t n = held[i].first; n < held[i].end(); ++n) owned[n] = false;
          allocator.release(held[i]);
          held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
        }
        break;
      case 1:
        if (random() % 10 == 0) allocator.settle();
        break;
      default:
        for (const ClusterRun& run : allocator.take(1 + random() % 200)) {
          for (std::uint64_t n = run.first; n < run.end(); ++n) {
            if (owned[n]) FAIL("cluster " << n << " was handed out twice");
            owned[n] = true;
          }
          held.push_back(run);
        }
    }
  }
}

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "drive/block/memory_device.h"
#include "drive/ntfs/block_cache.h"
#include "drive/ntfs/interval_set.h"
#include "tests/unit/ntfs/volume_fixture.h"

using namespace driveprep;
using namespace driveprep::ntfs;

namespace {

class CountingDevice : public block::MemoryDevice {
 public:
  using MemoryDevice::MemoryDevice;
  void read(std::uint64_t offset, MutableByteView out) const override {
    reads.push_back({offset, out.size()});
    MemoryDevice::read(offset, out);
  }
  void write(std::uint64_t offset, ByteView data) override {
    writes.push_back({offset, data.size()});
    MemoryDevice::write(offset, data);
  }
  mutable std::vector<ByteRange> reads;
  std::vector<ByteRange> writes;
};

Bytes read(BlockCache& cache, std::uint64_t offset, std::size_t length) {
  Bytes out(length);
  cache.read(offset, out);
  return out;
}

}  // namespace

TEST_CASE("the cache agrees with a plain array through any mixture of reads, writes and flushes") {
  constexpr std::uint64_t kSize = 3 * kMiB + 512;  // the last block is a partial one
  CountingDevice device(kSize);
  Bytes model = test::content_of(kSize, 1);
  device.MemoryDevice::write(0, ByteView(model).first(kSize));
  BlockCache cache(device, 64 * kKiB);
  std::mt19937 random(7);
  for (int step = 0; step < 20'000; ++step) {
    const std::uint64_t offset = random() % kSize;
    const std::size_t length = std::min<std::uint64_t>(random() % 9000, kSize - offset);
    switch (random() % 8) {
      case 0:
      case 1:
      case 2: {
        Bytes data(length, static_cast<std::byte>(random() % 3 == 0 ? 0xFF : random()));
        if (length > 4 && random() % 2 == 0) data[length / 2] = std::byte{1};
        std::ranges::copy(data, model.begin() + static_cast<std::ptrdiff_t>(offset));
        cache.write(offset, data);
        break;
      }
      case 3:
        if (random() % 100 == 0) {
          cache.flush({});
          cache.settle();
        }
        break;
      default: {
        const Bytes found = read(cache, offset, length);
        if (!std::equal(found.begin(), found.end(),
                        model.begin() + static_cast<std::ptrdiff_t>(offset))) {
          FAIL("step " << step << " differs");
        }
      }
    }
  }
  cache.flush({});
  cache.settle();
  CHECK(cache.dirty_bytes() == 0);
  CHECK(cache.memory_bytes() <= 64 * kKiB);
  Bytes end(kSize);
  device.MemoryDevice::read(0, end);
  CHECK(end == model);
}

TEST_CASE("nothing is written before a flush, and a flush writes ascending joined pieces") {
  CountingDevice device(8 * kMiB);
  BlockCache cache(device, kMiB);
  for (std::uint64_t block : {500, 3, 4, 5, 1500, 2}) {
    cache.write(block * 4096, test::content_of(4096, block));
  }
  CHECK(device.writes.empty());
  CHECK(device.reads.empty());  // whole blocks need no reading first
  CHECK(cache.dirty_bytes() == 6 * 4096);
  cache.flush({});
  CHECK(device.writes ==
        std::vector<ByteRange>{{8192, 16384}, {500 * 4096, 4096}, {1500 * 4096, 4096}});
  cache.flush({});
  CHECK(device.writes.size() == 3);
}

TEST_CASE("flushed blocks are served from memory until the checkpoint is done") {
  CountingDevice device(8 * kMiB);
  BlockCache cache(device, 0);
  const Bytes fresh = test::content_of(4096, 5);
  cache.write(kMiB, fresh);
  cache.flush({});
  device.MemoryDevice::write(kMiB, Bytes(4096));  // as if the write were still in the redo file
  for (std::uint64_t at = 0; at < kMiB; at += 64 * kKiB) read(cache, at, 100);
  CHECK(read(cache, kMiB, 4096) == fresh);
  cache.settle();
  CHECK(read(cache, kMiB, 4096) == Bytes(4096));
}

TEST_CASE("a flush into clusters of file data is refused before anything is written") {
  CountingDevice device(8 * kMiB);
  BlockCache cache(device, kMiB);
  IntervalSet data;
  data.add({kMiB, 64 * kKiB});
  cache.write(0, test::content_of(4096, 1));
  cache.write(kMiB + 4096, test::content_of(4096, 1));
  CHECK_THROWS_AS(cache.flush(data), Error);
  CHECK(device.writes.empty());
  cache.forget({kMiB, 64 * kKiB});
  cache.flush(data);
  CHECK(device.writes == std::vector<ByteRange>{{0, 4096}});
}

TEST_CASE("a forgotten range is read from the device again, for ranges small and huge") {
  CountingDevice device(kTiB);
  BlockCache cache(device, kMiB);
  const bool huge = GENERATE(false, true);
  cache.write(10 * kMiB, test::content_of(4096, 1));
  cache.write(0, test::content_of(4096, 2));
  cache.forget({kMiB, huge ? kTiB - kMiB : 16 * kMiB});
  CHECK(cache.dirty_bytes() == 4096);
  CHECK(read(cache, 10 * kMiB, 4096) == Bytes(4096));
  CHECK(read(cache, 0, 4096) == test::content_of(4096, 2));
}

TEST_CASE("a fresh range reads as zeros without the device, until written and dropped") {
  CountingDevice device(8 * kMiB);
  device.MemoryDevice::write(kMiB, test::content_of(kMiB, 3));
  BlockCache cache(device, 0);
  cache.set_fresh({kMiB, kMiB});
  CHECK(read(cache, kMiB + 100, 8000) == Bytes(8000));
  const Bytes part = test::content_of(100, 4);
  cache.write(kMiB + 50'000, part);
  CHECK(device.reads.empty());
  cache.flush({});
  cache.settle();
  CHECK(read(cache, kMiB + 50'000, 100) == part);
  CHECK_FALSE(device.reads.empty());
  CHECK(read(cache, kMiB + 60'000, 100) == Bytes(100));
}

TEST_CASE(
    "blocks that no flush has had go ahead once, in long runs, and changed again wait for the "
    "flush") {
  CountingDevice device(8 * kMiB);
  test::RecordingSink sink(device);
  BlockCache cache(device, 0);
  cache.set_fresh({kMiB, kMiB});
  Bytes run = test::content_of(10 * 4096, 6);
  std::fill_n(run.begin() + 4096, 4096, std::byte{0});  // kept without memory
  cache.write(kMiB + 4096, run);
  cache.write(kMiB + 64 * 4096, test::content_of(4096, 7));  // too short a run
  cache.write(0, test::content_of(8 * 4096, 8));             // the device may refer to it
  CHECK(cache.waiting_bytes() == 11 * 4096);

  cache.write_ahead({}, sink);
  CHECK(sink.writes == std::vector<ByteRange>{{kMiB + 4096, 10 * 4096}});
  CHECK(cache.waiting_bytes() == 0);
  CHECK(cache.ahead_bytes() == 10 * 4096);
  CHECK(cache.dirty_bytes() == 9 * 4096);
  // Until the sink has written it is served from memory.
  device.MemoryDevice::write(kMiB + 4096, Bytes(run.size()));
  CHECK(read(cache, kMiB + 4096, run.size()) == run);
  device.MemoryDevice::write(kMiB + 4096, run);
  cache.settle_ahead();
  CHECK(cache.memory_bytes() == 9 * 4096);
  CHECK(read(cache, kMiB + 4096, run.size()) == run);

  device.writes.clear();
  cache.write(kMiB + 4096, test::content_of(4 * 4096, 9));
  cache.write_ahead({}, sink);
  CHECK(device.writes.empty());
  cache.flush({});
  CHECK(device.writes ==
        std::vector<ByteRange>{{0, 8 * 4096}, {kMiB + 4096, 4 * 4096}, {kMiB + 64 * 4096, 4096}});
  cache.settle();
  // Flushed is referred to.
  device.writes.clear();
  cache.write(kMiB + 64 * 4096, test::content_of(8 * 4096, 10));
  cache.write_ahead({}, sink);
  CHECK(device.writes == std::vector<ByteRange>{{kMiB + 65 * 4096, 7 * 4096}});
}

TEST_CASE("nothing goes ahead into clusters of file data") {
  CountingDevice device(8 * kMiB);
  DirectSink sink(device);
  BlockCache cache(device, 0);
  cache.set_fresh({kMiB, kMiB});
  cache.write(kMiB, test::content_of(16 * 4096, 1));
  IntervalSet data;
  data.add({kMiB + 8 * 4096, 4096});
  CHECK_THROWS_AS(cache.write_ahead(data, sink), Error);
  CHECK(device.writes.empty());
}

TEST_CASE("blocks of one value cost no memory") {
  CountingDevice device(kTiB);
  BlockCache cache(device, kMiB);
  const Bytes ones(8192, std::byte{0xFF});
  for (std::uint64_t at = 0; at < 100 * kMiB; at += ones.size()) cache.write(at, ones);
  CHECK(cache.memory_bytes() == 0);
  cache.write(5, Bytes(1));
  CHECK(cache.memory_bytes() == 4096);
  cache.flush({});
  CHECK(device.writes.size() == 100);
  Bytes back(8);
  device.MemoryDevice::read(0, back);
  CHECK(back[4] == std::byte{0xFF});
  CHECK(back[5] == std::byte{0});
}

TEST_CASE("an interval set joins, cuts and finds like a plain bit array") {
  IntervalSet set;
  std::vector<bool> model(300);
  std::mt19937 random(3);
  for (int step = 0; step < 5000; ++step) {
    const std::uint64_t from = random() % 250;
    const std::uint64_t length = random() % 50;
    const bool add = random() % 2 == 0;
    add ? set.add({from, length}) : set.remove({from, length});
    std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(from), length, add);
    const std::uint64_t at = random() % 250;
    const std::uint64_t count = random() % 50;
    const bool expected =
        std::find(model.begin() + static_cast<std::ptrdiff_t>(at),
                  model.begin() + static_cast<std::ptrdiff_t>(at + count),
                  true) != model.begin() + static_cast<std::ptrdiff_t>(at + count);
    if (set.overlaps({at, count}) != expected) FAIL("step " << step << " differs");
  }
  IntervalSet ascending;
  for (std::uint64_t at = 0; at < 1000; ++at) ascending.add({at * 4096, 4096});
  CHECK(ascending.count() == 1);
}

#include "drive/block/memory_device.h"

#include <catch2/catch.hpp>

#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::block;
using test::error_of;

TEST_CASE("what was never written reads as zeros") {
  MemoryDevice device(20 * kTiB);
  Bytes bytes = test::pattern(100'000);
  device.read(20 * kTiB - bytes.size(), bytes);
  CHECK((bytes == Bytes(100'000)));
}

TEST_CASE("what was written comes back across pages") {
  MemoryDevice device(kMiB);
  const Bytes data = test::pattern(200'000);
  device.write(65'000, data);
  Bytes back(data.size() + 2);
  device.read(64'999, back);
  CHECK(std::equal(data.begin(), data.end(), back.begin() + 1));
  CHECK(back.front() == std::byte{0});
  CHECK(back.back() == std::byte{0});
}

TEST_CASE("nothing reaches past the end of a device") {
  MemoryDevice device(kMiB);
  Bytes bytes(512);
  CHECK_NOTHROW(device.write(kMiB - 512, bytes));
  for (const std::uint64_t offset : {kMiB - 511, kMiB, UINT64_MAX - 100}) {
    CHECK(error_of([&] { device.read(offset, bytes); }) == "internal/past-end");
    CHECK(error_of([&] { device.write(offset, bytes); }) == "internal/past-end");
  }
}

TEST_CASE("a slice sees and touches its own range only") {
  MemoryDevice device(kMiB, SectorSize(4096));
  device.write(0, Bytes(kMiB, std::byte{0xEE}));
  Slice slice(device, {8192, 16384}, "the partition");
  const Bytes data = test::pattern(16384);
  slice.write(0, data);
  CHECK(slice.size() == 16384);
  CHECK(slice.sector_size() == SectorSize(4096));
  CHECK(slice.name() == "the partition");

  const ReadableSlice readable(device, {8192, 16384}, "the partition");
  Bytes back(16384);
  readable.read(0, back);
  CHECK((back == data));
  Bytes around(4096);
  for (const std::uint64_t offset : {4096, 8192 + 16384}) {
    device.read(offset, around);
    CHECK((around == Bytes(4096, std::byte{0xEE})));
  }
  CHECK(error_of([&] { slice.write(16384 - 4095, around); }) == "internal/past-end");
  CHECK(error_of([&] { readable.read(16384, around); }) == "internal/past-end");
  CHECK(error_of([&] { Slice(device, {kMiB - 1, 2}, "x"); }) == "internal/past-end");
  CHECK(error_of([&] { ReadableSlice(device, {kMiB + 1, 0}, "x"); }) == "internal/past-end");
}

TEST_CASE("a write that is made to fail changes nothing") {
  MemoryDevice device(kMiB);
  device.before_write = [](std::uint64_t number, std::uint64_t, ByteView) {
    if (number == 1) throw Error(ErrorKind::kWrite, "simulated", "as asked");
  };
  device.write(0, Bytes(512, std::byte{1}));
  CHECK(error_of([&] { device.write(512, Bytes(512, std::byte{2})); }) == "write/simulated");
  Bytes back(512);
  device.read(512, back);
  CHECK((back == Bytes(512)));
}

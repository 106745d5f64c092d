#include "drive/block/remembering_device.h"

#include <catch2/catch.hpp>

#include "drive/block/memory_device.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::block;

TEST_CASE("what was written last is remembered, sector by sector") {
  const std::uint64_t sector = GENERATE(512, 4096);
  MemoryDevice below(8 * kMiB, SectorSize(sector));
  RememberingDevice device(below);
  CHECK_FALSE(device.first_difference());
  device.write(0, test::pattern(3 * kMiB, 1));
  device.write(kMiB, test::pattern(sector, 2));
  device.write(6 * kMiB, test::pattern(2 * sector, 3));
  CHECK_FALSE(device.first_difference());

  // Behind its back, outside and inside.
  below.write(4 * kMiB, test::pattern(sector, 4));
  CHECK_FALSE(device.first_difference());
  below.write(6 * kMiB + sector, test::pattern(sector, 4));
  CHECK(device.first_difference() == 6 * kMiB + sector);
  below.write(kMiB, Bytes(sector));
  CHECK(device.first_difference() == kMiB);
}

TEST_CASE("what was not written is not remembered") {
  MemoryDevice below(kMiB);
  below.before_write = [](std::uint64_t, std::uint64_t, ByteView) {
    throw Error(ErrorKind::kWrite, "simulated", "as asked");
  };
  RememberingDevice device(below);
  CHECK(test::error_of([&] { device.write(0, Bytes(512, std::byte{1})); }) == "write/simulated");
  CHECK_FALSE(device.first_difference());
}

TEST_CASE("a part of a block is remembered by its sectors, and the rest of the block forgotten") {
  MemoryDevice below(kMiB);
  RememberingDevice device(below);
  device.write(8192, test::pattern(8192, 1));
  device.write(8192 + 1024, test::pattern(512, 2));
  below.write(8192, Bytes(512));
  CHECK_FALSE(device.first_difference());
  below.write(8192 + 1024, Bytes(512));
  CHECK(device.first_difference() == 8192 + 1024);
  below.write(12288 + 512, Bytes(512));
  CHECK(device.first_difference() == 8192 + 1024);
  device.write(8192, test::pattern(4096, 3));
  CHECK(device.first_difference() == 12288);
  device.write(12288 - 512, test::pattern(8192, 4));
  CHECK_FALSE(device.first_difference());
  below.write(12288 - 512, Bytes(512));
  CHECK(device.first_difference() == 12288 - 512);
}

TEST_CASE("what is written past the memory is forgotten, and only that") {
  const std::uint64_t sector = GENERATE(512, 4096);
  MemoryDevice below(kMiB, SectorSize(sector));
  RememberingDevice device(below);
  device.write(0, test::pattern(256 * kKiB, 1));
  device.unremembered().write(4096, test::pattern(128 * kKiB, 2));
  CHECK_FALSE(device.first_difference());
  below.write(4096, Bytes(128 * kKiB));
  CHECK_FALSE(device.first_difference());
  below.write(132 * kKiB, Bytes(sector));
  CHECK(device.first_difference() == 132 * kKiB);
  below.write(0, Bytes(sector));
  CHECK(device.first_difference() == 0);
  device.forget();
  CHECK_FALSE(device.first_difference());
}

TEST_CASE("what was written is looked for where one says") {
  MemoryDevice below(kMiB);
  MemoryDevice other(kMiB);
  RememberingDevice device(below);
  device.write(64 * kKiB, test::pattern(1024, 1));
  CHECK(device.first_difference(other) == 64 * kKiB);
  other.write(64 * kKiB, test::pattern(1024, 1));
  CHECK_FALSE(device.first_difference(other));
}

TEST_CASE("the last part of a device that is no multiple of a page is remembered, too") {
  MemoryDevice below(kMiB + 4096);
  RememberingDevice device(below);
  device.write(kMiB, test::pattern(4096, 1));
  CHECK_FALSE(device.first_difference());
  below.write(kMiB + 3584, Bytes(512));
  CHECK(device.first_difference() == kMiB);
}

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

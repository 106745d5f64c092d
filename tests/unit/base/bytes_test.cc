#include "base/bytes.h"

#include <catch2/catch.hpp>

#include "base/units.h"
#include "tests/support/scratch.h"

using namespace driveprep;

TEST_CASE("integers are read and written little-endian") {
  ByteWriter writer;
  writer.u8(0x01).u16(0x0302).u32(0x07060504).u64(0x0F0E0D0C0B0A0908);
  REQUIRE(writer.size() == 15);
  for (std::size_t i = 0; i < 15; ++i) CHECK(writer.view()[i] == static_cast<std::byte>(i + 1));

  ByteReader reader(writer.view());
  CHECK(reader.u8() == 0x01);
  CHECK(reader.u16() == 0x0302);
  CHECK(reader.u32() == 0x07060504);
  CHECK(reader.u64() == 0x0F0E0D0C0B0A0908);
  CHECK(reader.remaining() == 0);
}

TEST_CASE("reading past the end is a format error and moves nothing") {
  const Bytes three(3);
  ByteReader reader(three);
  CHECK_THROWS_AS(reader.u32(), FormatError);
  CHECK(reader.position() == 0);
  CHECK_THROWS_AS(reader.take(4), FormatError);
  CHECK_THROWS_AS(reader.skip(SIZE_MAX), FormatError);
  CHECK(reader.take(3).size() == 3);
  CHECK_THROWS_AS(reader.u8(), FormatError);
}

TEST_CASE("padding fills with zeros and never goes backwards") {
  ByteWriter writer;
  writer.u8(0xFF).pad_to(4);
  CHECK(writer.view() == Bytes{std::byte{0xFF}, std::byte{0}, std::byte{0}, std::byte{0}});
  CHECK(test::error_of([&] { writer.pad_to(3); }) == "internal/internal");
  CHECK(writer.take().size() == 4);
}

TEST_CASE("rounding goes to multiples and leaves them alone") {
  CHECK(round_up(0, 4096) == 0);
  CHECK(round_up(1, 4096) == 4096);
  CHECK(round_up(4096, 4096) == 4096);
  CHECK(round_down(4095, 4096) == 0);
  CHECK(round_down(8191, 4096) == 4096);
}

TEST_CASE("ranges know what they hold and what they touch") {
  const ByteRange range{10, 5};
  CHECK(range.contains(10));
  CHECK(range.contains(14));
  CHECK_FALSE(range.contains(15));
  CHECK_FALSE(range.contains(9));
  CHECK(range.overlaps({14, 1}));
  CHECK_FALSE(range.overlaps({15, 1}));
  CHECK_FALSE(range.overlaps({5, 5}));
}

TEST_CASE("a sector has 512 or 4096 bytes") {
  CHECK(SectorSize(4096).bytes() == 4096);
  CHECK(SectorSize().bytes() == 512);
  CHECK(test::error_of([] { SectorSize(520); }) == "internal/internal");
  CHECK(Lba{3}.bytes(SectorSize(4096)) == 12288);
}

#include <catch2/catch.hpp>

#include "drive/ntfs/names.h"
#include "tests/unit/ntfs/volume_fixture.h"

using namespace driveprep;
using namespace driveprep::ntfs;
using namespace driveprep::ntfs::test;

namespace {

constexpr std::uint64_t kSize = 64 * kMiB;

// A small volume in memory: d/one (resident), d/two (clusters), d/e/three.
std::unique_ptr<block::MemoryDevice> small_volume() {
  auto device = std::make_unique<block::MemoryDevice>(kSize);
  format_volume({kSize, SectorSize(512), Lba{2048}, "READ ME", {}}).copy_to(*device);
  DirectSink sink(*device);
  VolumeWriter writer(*device, sink, {});
  writer.enter_directory(u"d");
  writer.write_small(u"one", times_of(1), content_of(100, 1));
  writer.write_small(u"two", times_of(2), content_of(10'000, 2));
  writer.enter_directory(u"e");
  writer.write_small(u"three", times_of(3), {});
  finish(writer);
  return device;
}

}  // namespace

TEST_CASE("a path leads to its file by exact case, and nowhere else") {
  const auto device = small_volume();
  VolumeReader reader(*device);
  CHECK(reader.open(u"d/one")->content == content_of(100, 1));
  CHECK(reader.open(u"d/two")->ranges.size() == 1);
  CHECK(reader.open(u"d/e/three")->size == 0);
  CHECK(reader.open(u"/d//e/three/")->size == 0);
  CHECK(reader.open(u"d/e")->is_directory());
  CHECK(reader.open(u"d")->is_directory());
  CHECK(reader.open(u"")->is_directory());
  for (const char16_t* absent : {u"D/one", u"d/ONE", u"d/one/x", u"x", u"d/e/four", u"d/one/two/three"}) {
    CHECK_FALSE(reader.open(absent).has_value());
  }
  CHECK_FALSE(reader.open(std::u16string(300, u'x')).has_value());
  CHECK_FALSE(reader.open(std::u16string(300, u'x') + u"/y").has_value());
}

TEST_CASE("listings name what is there, with its kind") {
  const auto device = small_volume();
  VolumeReader reader(*device);
  const auto entries = reader.list(u"d");
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].name == u"e");
  CHECK(entries[0].directory);
  CHECK(entries[1].name == u"one");
  CHECK_FALSE(entries[1].directory);
  CHECK(entries[1].record == reader.open(u"d/one")->record);
  std::size_t system = 0;
  for (const auto& entry : reader.list(u"")) system += entry.name.starts_with(u'$') ? 1 : 0;
  CHECK(system >= 10);
  CHECK_THROWS_WITH(reader.list(u"d/one"), Catch::Contains("no directory"));
  CHECK_THROWS_WITH(reader.list(u"nope"), Catch::Contains("nope"));
}

TEST_CASE("the fold of names is the volume's own $UpCase") {
  const auto device = small_volume();
  VolumeReader reader(*device);
  const Bytes table = read_file(reader, *device, u"$UpCase");
  REQUIRE(table.size() == 131072);
  ByteReader units(table);
  for (unsigned unit = 0; unit < 0x10000; ++unit) {
    const char16_t upper = units.u16();
    if (fold_case(std::u16string(1, static_cast<char16_t>(unit)))[0] != upper) {
      FAIL("unit " << unit << " folds differently");
    }
  }
}

TEST_CASE("a reader never writes") {
  const auto device = small_volume();
  device->before_write = [](std::uint64_t, std::uint64_t, ByteView) {
    throw Error(ErrorKind::kInternal, "wrote", "a reader wrote");
  };
  VolumeReader reader(*device);
  CHECK(reader.open(u"d/one").has_value());
  CHECK(reader.list(u"d/e").size() == 1);
}

TEST_CASE("a damaged volume is reported, not believed") {
  const auto device = small_volume();
  std::uint64_t record_offset = 0;
  {
    VolumeReader reader(*device);
    record_offset = reader.open(u"$MFT")->ranges[0].offset + reader.open(u"d/two")->record * 1024;
  }
  Bytes record(1024);
  device->read(record_offset, record);
  SECTION("no record at all") {
    device->write(record_offset, Bytes(1024));
    VolumeReader reader(*device);
    CHECK_THROWS_AS(reader.open(u"d/two"), Error);
    CHECK(reader.open(u"d/one").has_value());
  }
  SECTION("a torn record") {
    device->write(record_offset + 512, content_of(512, 3));
    VolumeReader reader(*device);
    CHECK_THROWS_AS(reader.open(u"d/two"), Error);
  }
}

TEST_CASE("data that driveprep never writes is refused by name") {
  if (!have("mkntfs") || !have("ntfscp")) return;
  TemporaryDirectory directory;
  auto image = make_image(directory / "image", kSize, SectorSize(512));
  REQUIRE(run("mkntfs", {"-q", "-F", "-Q", "-C", directory / "image"}).exit_status == 0);
  const auto source = directory / "source";
  REQUIRE(run_subprocess("/bin/sh", {"-c", "head -c 300000 /dev/zero > \"$0\"", source}).exit_status == 0);
  REQUIRE(run("ntfscp", {"-f", directory / "image", source, "zeros"}).exit_status == 0);
  VolumeReader reader(*image);
  try {
    reader.open(u"zeros");
    FAIL("a compressed file was accepted");
  } catch (const Error& error) {
    CHECK(error.code() == "file-layout");
  }
}

TEST_CASE("a device that cannot be read shows its own error") {
  const auto device = small_volume();
  struct Broken : block::ReadableSlice {
    using ReadableSlice::ReadableSlice;
    void read(std::uint64_t offset, MutableByteView out) const override {
      if (broken) throw Error(ErrorKind::kBusy, "read-failed", "the cable is loose");
      ReadableSlice::read(offset, out);
    }
    bool broken = false;
  };
  Broken broken(*device, {0, kSize}, "broken");
  {
    broken.broken = true;
    CHECK_THROWS_WITH(VolumeReader(broken), Catch::Contains("cable"));
  }
}

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <random>

#include "drive/ntfs/interval_set.h"
#include "tests/unit/ntfs/volume_fixture.h"

using namespace driveprep;
using namespace driveprep::ntfs;
using namespace driveprep::ntfs::test;

namespace {

std::string code_of(const FormatRequest& request) {
  try {
    format_volume(request);
  } catch (const Error& error) {
    return error.code();
  }
  return "none";
}

}  // namespace

TEST_CASE("a formatted volume has the fields Windows writes and is clean to two checkers") {
  const SectorSize sector(GENERATE(512, 4096));
  TemporaryDirectory directory;
  const std::uint64_t size = 200 * kMiB;
  const FormattedVolume volume = format_volume({size, sector, Lba{2048}, "SHIP 01", {}});
  CHECK(volume.geometry().cluster_size == 4096);
  CHECK(volume.geometry().record_size == (sector.bytes() == 512 ? 1024 : 4096));
  CHECK(volume.geometry().serial != 0);
  CHECK(volume.boot_sector().size() == sector.bytes());
  ByteReader boot(volume.boot_sector());
  boot.skip(0x1C);
  CHECK(boot.u32() == 2048);

  auto image = make_image(directory / "image", size, sector);
  std::uint64_t progress = 0;
  volume.copy_to(*image, [&](std::uint64_t written) {
    CHECK(written > progress);
    progress = written;
  });
  CHECK(progress == volume.data_bytes());
  CHECK(complaints(directory / "image") == "");

  VolumeReader reader(*image);
  CHECK(reader.geometry() == volume.geometry());
  CHECK(reader.label() == "SHIP 01");
  CHECK_FALSE(reader.marked_dirty());
}

TEST_CASE("the occupied ranges are what the records of a fresh volume own, and no more") {
  const SectorSize sector(GENERATE(512, 4096));
  const std::uint64_t size = 300 * kMiB;
  const FormattedVolume volume = format_volume({size, sector, Lba{34}, "", {}});
  block::MemoryDevice device(size, sector);
  volume.copy_to(device);
  VolumeReader reader(device);
  IntervalSet owned;
  std::uint64_t owned_bytes = 0;
  for (const char16_t* name : {u"$MFT", u"$MFTMirr", u"$LogFile", u"$AttrDef", u"$Bitmap", u"$Boot",
                               u"$UpCase"}) {
    const auto info = reader.open(name);
    REQUIRE(info.has_value());
    for (const ByteRange& range : info->ranges) {
      owned.add(range);
      owned_bytes += range.length;
    }
  }
  std::uint64_t occupied_bytes = 0;
  for (const ByteRange& range : volume.occupied()) {
    CHECK(range.offset % 4096 == 0);
    occupied_bytes += range.length;
  }
  CHECK(std::ranges::is_sorted(volume.occupied()));
  // $Secure's streams, $MFT's bitmap and the root's index are the few clusters without a name here.
  CHECK(occupied_bytes >= owned_bytes);
  CHECK(occupied_bytes - owned_bytes <= kMiB);
  CHECK(volume.free_clusters() ==
        volume.geometry().total_clusters - occupied_bytes / volume.geometry().cluster_size);
}

TEST_CASE("what is not transferred need not be zero") {
  TemporaryDirectory directory;
  const std::uint64_t size = 100 * kMiB;
  auto image = make_image(directory / "image", size, SectorSize(512));
  const Bytes garbage = content_of(kMiB, 99);
  for (std::uint64_t at = 0; at < size; at += garbage.size()) image->write(at, garbage);
  format_volume({size, SectorSize(512), Lba{2048}, "X", {}}).copy_to(*image);
  DirectSink sink(*image);
  VolumeWriter writer(*image, sink, {});
  writer.enter_directory(u"d");
  for (int i = 0; i < 500; ++i) {
    writer.write_small(std::u16string(u"f") + static_cast<char16_t>(u'A' + i), times_of(i),
                       content_of(100 + i * 7, i));
  }
  finish(writer);
  CHECK(complaints(directory / "image") == "");
}

TEST_CASE("cluster sizes are honoured, and a volume of any length of sectors works") {
  const std::uint32_t cluster = GENERATE(4096, 8192, 65536);
  TemporaryDirectory directory;
  const std::uint64_t size = 130 * kMiB + 7 * 512;
  const FormattedVolume volume = format_volume({size, SectorSize(512), Lba{63}, "C", cluster});
  CHECK(volume.geometry().cluster_size == cluster);
  auto image = make_image(directory / "image", size, SectorSize(512));
  volume.copy_to(*image);
  CHECK(complaints(directory / "image") == "");
}

TEST_CASE("impossible volumes are refused with the reason") {
  const FormatRequest good{64 * kMiB, SectorSize(512), Lba{2048}, "", {}};
  CHECK(code_of(good) == "none");
  FormatRequest bad = good;
  bad.label = "zwölf";
  CHECK(code_of(bad) == "volume-label");
  bad.label = std::string(33, 'x');
  CHECK(code_of(bad) == "volume-label");
  bad = good;
  for (std::uint32_t cluster : {0U, 512U, 2048U, 12288U, 131072U}) {
    bad.cluster_size = cluster;
    CHECK(code_of(bad) == "cluster-size");
  }
  bad = good;
  bad.volume_bytes = kMiB;
  CHECK(code_of(bad) == "volume-too-small");
  bad.volume_bytes = 300 * kTiB;
  CHECK(code_of(bad) == "volume-too-large");
  bad.volume_bytes = 20 * kTiB;
  bad.cluster_size = 4096;
  CHECK(code_of(bad) == "volume-too-large");
}

TEST_CASE("a partition start beyond 32 bits is stored as zero") {
  const FormattedVolume volume =
      format_volume({64 * kMiB, SectorSize(512), Lba{std::uint64_t{1} << 33}, "", {}});
  ByteReader boot(volume.boot_sector());
  boot.skip(0x1C);
  CHECK(boot.u32() == 0);
}

TEST_CASE("a write error during the transfer is thrown, from whichever thread") {
  const FormattedVolume volume = format_volume({64 * kMiB, SectorSize(512), Lba{2048}, "", {}});
  block::MemoryDevice device(64 * kMiB);
  device.before_write = [](std::uint64_t number, std::uint64_t, ByteView) {
    if (number == 1) throw Error(ErrorKind::kWrite, "write-failed", "the disk is gone");
  };
  CHECK_THROWS_WITH(volume.copy_to(device), Catch::Contains("the disk is gone"));
}

TEST_CASE("a boot sector that is damaged anywhere is refused, never believed") {
  const FormattedVolume volume = format_volume({64 * kMiB, SectorSize(512), Lba{2048}, "", {}});
  const Bytes good(volume.boot_sector().begin(), volume.boot_sector().end());
  CHECK(parse_boot_sector(good) == volume.geometry());
  CHECK_THROWS_AS(parse_boot_sector(ByteView(good).first(511)), Error);
  for (std::size_t at : {3, 10, 11, 12, 510, 511}) {
    Bytes bad = good;
    bad[at] ^= std::byte{0x55};
    CHECK_THROWS_AS(parse_boot_sector(bad), Error);
  }
  std::mt19937 random(1);
  for (int i = 0; i < 5000; ++i) {
    Bytes bad = good;
    for (int k = 0; k < 4; ++k) bad[11 + random() % 70] = static_cast<std::byte>(random());
    try {
      const Geometry geometry = parse_boot_sector(bad);
      CHECK(geometry.mft.value < geometry.total_clusters);
      CHECK(geometry.cluster_size >= geometry.sector.bytes());
    } catch (const Error& error) {
      CHECK(error.code() == "not-ntfs");
    }
  }
}

TEST_CASE("16 TB are formatted and transferred in less than three seconds", "[.large]") {
  TemporaryDirectory directory;
  const std::uint64_t size = 16'000'000'000'000 / 4096 * 4096;
  auto image = make_image(directory / "image", size, SectorSize(512));
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  {
    const FormattedVolume volume = format_volume({size, SectorSize(512), Lba{2048}, "BIG", {}});
    const double formatted = seconds();
    volume.copy_to(*image);
    const double copied = seconds();
    DirectSink sink(*image);
    VolumeWriter writer(*image, sink, {.free_clusters = volume.free_clusters()});
    writer.reserve(std::vector<ReservedFile>{{u"area", {kTiB, 65536}}});
    checkpoint(writer);
    finish(writer);
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    WARN("format " << formatted << " s, transfer " << copied - formatted << " s, mount to close "
                   << seconds() - copied << " s, " << volume.data_bytes() / kMiB << " MiB, peak "
                   << usage.ru_maxrss / 1024 << " MiB resident");
    CHECK(seconds() < 3.0);
    CHECK(usage.ru_maxrss / 1024 < 150);
  }
  CHECK(complaints(directory / "image") == "");
}

TEST_CASE("one file may take nearly all of 16 TB, in few runs, time and memory", "[.large]") {
  TemporaryDirectory directory;
  const std::uint64_t size = 16'000'000'000'000 / 4096 * 4096;
  auto image = make_image(directory / "image", size, SectorSize(512));
  const FormattedVolume formatted = format_volume({size, SectorSize(512), Lba{2048}, "BIG", {}});
  formatted.copy_to(*image);
  DirectSink sink(*image);
  const auto start = std::chrono::steady_clock::now();
  {
    VolumeWriter writer(*image, sink, {.planned_records = 10});
    const std::uint64_t bytes = 15'900'000'000'001;
    const auto ranges = writer.allocate(bytes);
    CHECK(ranges.size() <= 4);
    writer.write_file(u"huge", times_of(1), bytes, ranges, 0);
    finish(writer);
    // Counted anew from $Bitmap; ntfsresize takes minutes for as many clusters.
    const VolumeWriter again(*image, sink, {.planned_records = 10});
    const std::uint64_t rest = formatted.free_clusters() - (bytes + 4095) / 4096;
    CHECK(again.free_bytes() / 4096 <= rest);
    CHECK(again.free_bytes() / 4096 > rest - 32);  // $MFT and $Secure have grown a little
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  WARN(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()
       << " s, peak " << usage.ru_maxrss / 1024 << " MiB resident");
  CHECK(usage.ru_maxrss / 1024 < 150);
}

#include "bitlocker/layout.h"

#include <algorithm>
#include <random>

#include "base/bytes.h"
#include "test_tools.h"

namespace driveprep::bitlocker {
namespace {

// What must hold for every layout: aligned, inside the clusters, disjoint and free.
void check_layout(const VolumeLayout& layout, const std::vector<ByteRange>& occupied) {
  const std::uint64_t end =
      round_down(layout.volume_size - layout.sector_size.bytes(), layout.cluster_size);
  std::vector<ByteRange> homes;
  for (const ReservedFile& file : layout.reserved_files()) {
    INFO(file.name);
    const ByteRange home{file.range.offset, round_up(file.range.length, layout.cluster_size)};
    CHECK(home.offset % layout.cluster_size == 0);
    CHECK(home.offset >= 33 * kMiB);
    CHECK(home.end() <= end);
    for (const ByteRange& other : homes) CHECK_FALSE(home.overlaps(other));
    for (const ByteRange& taken : occupied) CHECK_FALSE(home.overlaps(taken));
    homes.push_back(home);
  }
  CHECK(homes.size() == 5);
}

TEST_CASE("on free space the places are those of Windows 10") {
  // 100 MiB, 4 KiB clusters; Windows moved the first copy up, the others stand where it put them.
  const std::vector<ByteRange> occupied = {{33 * kMiB, 0x95000}};
  const VolumeLayout layout = place_metadata(100 * kMiB, SectorSize(512), 4096, occupied);
  CHECK(layout.metadata == std::array<std::uint64_t, 3>{0x2195000, 0x2C1D000, 0x373A000});
  CHECK(layout.header_backup == 0x21A5000);
  CHECK(layout.reserved == 0x21A7000u);

  const VolumeLayout larger = place_metadata(101 * kMiB, SectorSize(512), 4096, {});
  CHECK(larger.metadata == std::array<std::uint64_t, 3>{0x2100000, 0x2C39000, 0x3772000});
  const VolumeLayout small_clusters = place_metadata(100 * kMiB, SectorSize(512), 1024, {});
  CHECK(small_clusters.metadata == std::array<std::uint64_t, 3>{0x2100000, 0x2C1C800, 0x3739000});
}

TEST_CASE("the reserved files have the names and sizes that Windows looks for") {
  const VolumeLayout layout = place_metadata(kGiB, SectorSize(512), 4096, {});
  const std::vector<ReservedFile> files = layout.reserved_files();
  REQUIRE(files.size() == 5);
  CHECK(files[0].name == "FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.1");
  CHECK(files[1].name == "FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.2");
  CHECK(files[2].name == "FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.3");
  CHECK(files[3].name == "FVE2.{24e6f0ae-6a00-4f73-984b-75ce9942852d}");
  CHECK(files[4].name == "FVE2.{da392a22-cae0-4f0f-9a30-b8830385d046}");
  const std::array<std::uint64_t, 5> sizes = {65536, 65536, 65536, 8192, 65536};
  for (std::size_t i = 0; i < files.size(); ++i) CHECK(files[i].range.length == sizes[i]);
}

TEST_CASE("places are aligned, disjoint and free at every size and cluster size") {
  const std::uint64_t sizes[] = {
      61 * kMiB, 62 * kMiB,  64 * kMiB, 100 * kMiB, 128 * kMiB,
      kGiB,      100 * kGiB, 2 * kTiB,  16 * kTiB,  20'000'000'000'000 / 4096 * 4096};
  for (const std::uint64_t size : sizes) {
    for (const std::uint64_t cluster :
         {std::uint64_t{4096}, 8 * kKiB, 16 * kKiB, 64 * kKiB, 128 * kKiB, kMiB, 2 * kMiB}) {
      for (const std::uint64_t sector : {512, 4096}) {
        INFO(size << " bytes, clusters of " << cluster << ", sectors of " << sector);
        check_layout(place_metadata(size, SectorSize(sector), cluster, {}), {});
      }
    }
  }
}

TEST_CASE("occupied places are avoided, whatever is there") {
  std::mt19937_64 random(20261121);
  int placed = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::uint64_t size = (61 + random() % 4000) * kMiB;
    const std::uint64_t cluster = 512ull << random() % 8;
    std::vector<ByteRange> occupied;
    for (std::uint64_t i = random() % 12; i > 0; --i) {
      const std::uint64_t nominal[] = {33 * kMiB, 33 * kMiB + size / 9, 33 * kMiB + size / 9 * 2,
                                       random() % size};
      occupied.push_back({nominal[random() % 4] / 512 * 512 + random() % 64 * 512,
                          random() % (2 * kMiB) / 512 * 512});
    }
    try {
      check_layout(place_metadata(size, SectorSize(512), cluster, occupied), occupied);
      ++placed;
    } catch (const Error& error) {
      CHECK(error.code() == "volume-too-small");
      CHECK(size < 70 * kMiB);  // only where there is hardly any room
    }
  }
  CHECK(placed > 2900);
}

TEST_CASE("a volume that is too small or full is refused") {
  const auto place = [](std::uint64_t size, const std::vector<ByteRange>& occupied) {
    return error_code([&] { place_metadata(size, SectorSize(512), 4096, occupied); });
  };
  CHECK(place(60 * kMiB, {}) == "volume-too-small");
  CHECK(place(0, {}) == "volume-too-small");
  CHECK(place(100 * kMiB, {{0, 100 * kMiB}}) == "volume-too-small");
  CHECK(place(61 * kMiB, {}).empty());
}

}  // namespace
}  // namespace driveprep::bitlocker

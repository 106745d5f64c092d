#include "bitlocker/volume_header.h"

#include <algorithm>
#include <functional>

#include "bitlocker/open.h"
#include "drive/block/file_device.h"
#include "made_volume.h"
#include "tests/support/windows_volumes.h"

namespace driveprep::bitlocker {
namespace {

TEST_CASE(
    "the volume header differs from Windows' only in boot code, messages and the zeros there") {
  for (const test::WindowsVolume& volume : test::windows_volumes()) {
    if (volume.name.find("togo") != std::string::npos || volume.name.ends_with("-eow")) continue;
    INFO(volume.name);
    const auto partition = block::open_image_read_only(volume.image.string(), SectorSize(512));
    const OpenedVolume opened = open_volume(*partition, RecoveryPassword::parse(volume.fact("RP")));
    Bytes theirs(512);
    partition->read(0, theirs);
    Bytes boot(4096);
    DecryptedDevice(*partition, opened.layout, opened.cipher).read(0, boot);
    const Bytes ours = make_volume_header(boot, opened.layout.metadata);
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const bool boot_code = i >= 0x5A && i < 0xA0;
      const bool messages = i >= 0x100 && i < 0x148;
      if (boot_code || messages) continue;
      INFO("byte " << i);
      CHECK(ours[i] == theirs[i]);
    }
  }
}

TEST_CASE("a made header is recognised with its places") {
  const std::array<std::uint64_t, 3> places = {1 << 20, 2 << 20, 1ull << 40};
  for (const std::uint64_t cluster : {4096, 65536}) {
    const Bytes sector = make_volume_header(ntfs_boot_sector(SectorSize(512), cluster), places);
    const VolumeHeader header = parse_volume_header(sector);
    CHECK(header.kind == VolumeKind::kNtfs);
    CHECK(header.metadata == places);
    CHECK(header.bytes_per_sector == 512);
    CHECK(header.cluster_size == cluster);
  }
}

TEST_CASE("large clusters are stored as a power of two") {
  Bytes boot = ntfs_boot_sector(SectorSize(512), 4096);
  boot[0x0D] = std::byte{0xF4};  // 2^12 sectors
  CHECK(parse_volume_header(make_volume_header(boot, {})).cluster_size == 2 * kMiB);
}

TEST_CASE("other volumes are told apart") {
  const auto code = [](const std::function<void(Bytes&)>& change) {
    MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
    Bytes sector(512);
    made.partition.read(0, sector);
    change(sector);
    made.partition.write(0, sector);
    return error_code([&] {
      open_volume(made.partition,
                  ExternalKeyCredential{made.created.external_key->content.clone()});
    });
  };
  CHECK(code([](Bytes&) {}).empty());
  CHECK(code([](Bytes& s) { s = ntfs_boot_sector(SectorSize(512), 4096); }) == "not-bitlocker");
  CHECK(code([](Bytes& s) { std::ranges::fill(s, std::byte{0}); }) == "not-bitlocker");
  CHECK(code([](Bytes& s) { s[0xA0] ^= std::byte{1}; }) == "not-bitlocker");
  CHECK(code([](Bytes& s) { s[1] = std::byte{0x52}; }) == "bitlocker-vista");
  CHECK(code([](Bytes& s) {
          const Guid eow = *Guid::parse("92a84d3b-dd80-4d0e-9e4e-b1e3284eaed8");
          std::ranges::copy(eow.on_disk(), s.begin() + 0xA0);
        }) == "bitlocker-converting");
  CHECK(error_code([] {
          const block::MemoryDevice tiny(256);
          open_volume(tiny, RecoveryPassword::random());
        }) == "not-bitlocker");
}

}  // namespace
}  // namespace driveprep::bitlocker

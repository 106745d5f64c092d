#include "drive/layout/wipe.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>

#include "base/atomic_file.h"
#include "drive/layout/gpt.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::layout;

namespace {

constexpr std::uint64_t kSize = 64 * kMiB;

block::FileDevice open_device(const std::filesystem::path& path, SectorSize sector) {
  return {posix::open(path, O_RDWR, ErrorKind::kWrite), "disk0.img", kSize, sector};
}

// An ext4 file system inside the partition of a GPT.
bool make_old_disk(const std::filesystem::path& path) {
  const std::string mke2fs = test::program("mke2fs");
  if (mke2fs.empty()) return false;
  block::FileDevice device = open_device(path, SectorSize(512));
  const GptLayout old = write_gpt(device, {Guid::random(), Guid::random()});
  const SubprocessResult made =
      run_subprocess(mke2fs, {"-q", "-F", "-t", "ext4", "-L", "old", "-E",
                              "offset=" + std::to_string(old.partition.offset), path,
                              std::to_string(old.partition.length / 1024) + "k"});
  return made.exit_status == 0;
}

// The smallest thing that libblkid takes for a BitLocker volume: boot sector and one block header.
void make_bitlocker(block::FileDevice& device, std::uint64_t at,
                    const std::array<std::uint64_t, 3>& copies) {
  ByteWriter boot;
  boot.bytes(as_bytes(std::string_view("\xEB\x58\x90-FVE-FS-", 11)));
  boot.pad_to(0xA0).bytes(Guid::parse("4967d63b-2e29-4ad8-8399-f6a339e3d001")->on_disk());
  for (const std::uint64_t copy : copies) boot.u64(copy);
  boot.pad_to(510).u16(0xAA55);
  device.write(at, boot.view());
  for (const std::uint64_t copy : copies) {
    Bytes region = test::pattern(64 * kKiB);
    ByteWriter head;
    head.bytes(as_bytes("-FVE-FS-")).u16(0x2C).u16(2);
    std::copy(head.view().begin(), head.view().end(), region.begin());
    device.write(at + copy, region);
  }
}

bool is_zero(const block::FileDevice& device, const ByteRange& range) {
  Bytes bytes(range.length);
  device.read(range.offset, bytes);
  return bytes == Bytes(range.length);
}

}  // namespace

TEST_CASE("after a wipe nothing is found, and what was destroyed is kept") {
  test::ScratchDirectory scratch;
  std::filesystem::create_directory(scratch / "saved");
  const std::filesystem::path path = scratch.image("disk0.img", kSize);
  if (!make_old_disk(path)) {
    WARN("skipped: mke2fs is not installed");
    return;
  }
  block::FileDevice device = open_device(path, SectorSize(512));
  Bytes head(kMiB);
  device.read(0, head);

  const WipeReport report = wipe_disk(device, scratch / "saved");

  CHECK(inventory::probe_signatures(device.fd(), {0, kSize}, SectorSize(512), "disk0.img").empty());
  CHECK(is_zero(device, {0, kMiB}));
  CHECK(is_zero(device, {kSize - kMiB, kMiB}));
  CHECK(is_zero(device, {kMiB, 64 * kKiB}));
  const std::string types = inventory::describe({report.removed, {}, {}});
  CHECK(types.find("GPT") != std::string::npos);
  CHECK(types.find("ext4 'old'") != std::string::npos);

  const std::filesystem::path saved = scratch / "saved/wiped-0-1048576.bin";
  CHECK(posix::read_file(saved, kMiB, ErrorKind::kWrite) == as_text(head));
  CHECK(std::filesystem::status(saved).permissions() ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  CHECK(std::ranges::find(report.saved, saved) != report.saved.end());
}

TEST_CASE("inner structures go first, then the end of the disk, its start last") {
  test::ScratchDirectory scratch;
  const std::filesystem::path path = scratch.image("disk0.img", kSize);
  if (!make_old_disk(path)) {
    WARN("skipped: mke2fs is not installed");
    return;
  }
  block::FileDevice device = open_device(path, SectorSize(512));
  const WipeReport report = wipe_disk(device, scratch.path());
  REQUIRE(report.erased.size() >= 4);
  CHECK(report.erased.front().offset >= kMiB);
  CHECK(report.erased.back() == ByteRange{0, kMiB});
  CHECK(report.erased[report.erased.size() - 2] == ByteRange{kSize - kMiB, kMiB});
}

TEST_CASE("the metadata of an old BitLocker volume is destroyed, and kept aside") {
  test::ScratchDirectory scratch;
  block::FileDevice device = open_device(scratch.image("disk0.img", kSize), SectorSize(512));
  const std::array<std::uint64_t, 3> copies = {16 * kMiB, 24 * kMiB, 32 * kMiB};
  write_gpt(device, {Guid::random(), Guid::random()});
  make_bitlocker(device, kMiB, copies);
  REQUIRE(inventory::describe(inventory::probe_signatures(device.fd(), {0, kSize}, SectorSize(512),
                                                          "disk0.img")) == "GPT, BitLocker volume");

  const WipeReport report = wipe_disk(device, scratch.path());

  for (const std::uint64_t copy : copies) {
    CHECK(is_zero(device, {kMiB + copy, 64 * kKiB}));
    CHECK(
        std::filesystem::exists(scratch / ("wiped-" + std::to_string(kMiB + copy) + "-65536.bin")));
  }
  CHECK(report.removed.size() >= 2);
}

TEST_CASE("an empty image is wiped without a trace of saved files") {
  const std::uint64_t sector = GENERATE(512, 4096);
  test::ScratchDirectory scratch;
  std::filesystem::create_directory(scratch / "saved");
  block::FileDevice device = open_device(scratch.image("disk0.img", kSize), SectorSize(sector));
  const WipeReport report = wipe_disk(device, scratch / "saved");
  CHECK(report.removed.empty());
  CHECK(report.saved.empty());
  CHECK(std::filesystem::is_empty(scratch / "saved"));
}

TEST_CASE("what an interrupted wipe saved is not overwritten by the next one") {
  test::ScratchDirectory scratch;
  block::FileDevice device = open_device(scratch.image("disk0.img", kSize), SectorSize(512));
  device.write(0, test::pattern(4096));
  write_file_atomically(scratch / "wiped-0-1048576.bin", as_bytes("older"), 0600);
  wipe_disk(device, scratch.path());
  CHECK(posix::read_file(scratch / "wiped-0-1048576.bin", 100, ErrorKind::kWrite) == "older");
}

TEST_CASE("nothing is erased when it cannot be saved first") {
  test::ScratchDirectory scratch;
  block::FileDevice device = open_device(scratch.image("disk0.img", kSize), SectorSize(512));
  const Bytes before = test::pattern(4096);
  device.write(0, before);
  CHECK(test::error_of([&] { wipe_disk(device, scratch / "absent"); }) == "write/create-failed");
  Bytes after(4096);
  device.read(0, after);
  CHECK((after == before));
}

TEST_CASE("data outside the erased regions is left alone") {
  test::ScratchDirectory scratch;
  block::FileDevice device = open_device(scratch.image("disk0.img", kSize), SectorSize(512));
  const Bytes filler = test::pattern(4 * kMiB);
  device.write(8 * kMiB, filler);
  wipe_disk(device, scratch.path());
  Bytes after(filler.size());
  device.read(8 * kMiB, after);
  CHECK((after == filler));
}

TEST_CASE("a wipe of one partition leaves the table and the other partitions alone") {
  test::ScratchDirectory scratch;
  block::FileDevice device = open_device(scratch.image("disk0.img", kSize), SectorSize(512));
  const ByteRange area{16 * kMiB, 32 * kMiB};
  const std::array<std::uint64_t, 3> copies = {8 * kMiB, 10 * kMiB, 12 * kMiB};
  make_bitlocker(device, area.offset, copies);
  const Bytes filler = test::pattern(2 * kMiB);
  device.write(area.offset - filler.size(), filler);
  device.write(area.end(), filler);

  const WipeReport report = wipe(device, area, std::nullopt);

  CHECK(inventory::describe({report.removed, {}, {}}).find("BitLocker volume") == 0);
  CHECK(report.saved.empty());
  for (const std::uint64_t copy : copies) {
    CHECK(is_zero(device, {area.offset + copy, 64 * kKiB}));
  }
  Bytes after(filler.size());
  device.read(area.offset - filler.size(), after);
  CHECK((after == filler));
  device.read(area.end(), after);
  CHECK((after == filler));
}

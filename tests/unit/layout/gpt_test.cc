#include "drive/layout/gpt.h"

#include <catch2/catch.hpp>

#include "drive/block/memory_device.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::layout;
using test::error_of;

namespace {

GptRequest request() {
  return {*Guid::parse("11112222-3333-4444-8555-666677778888"),
          *Guid::parse("a1b2c3d4-e5f6-4711-8899-aabbccddeeff"), "Basic data partition"};
}

block::FileDevice open_device(const std::filesystem::path& path, std::uint64_t size,
                              SectorSize sector) {
  return {posix::open(path, O_RDWR, ErrorKind::kWrite), "disk0.img", size, sector};
}

// Both ends of a device: what lies between them is not the table's.
void copy_ends(const block::FileDevice& from, block::MemoryDevice& to) {
  Bytes end(kMiB);
  from.read(0, end);
  to.write(0, end);
  from.read(from.size() - kMiB, end);
  to.write(from.size() - kMiB, end);
}

void flip(block::MemoryDevice& device, std::uint64_t offset) {
  Bytes one(1);
  device.read(offset, one);
  one[0] ^= std::byte{0x10};
  device.write(offset, one);
}

}  // namespace

TEST_CASE("the partition starts at 1 MiB and leaves the last MiB free") {
  // The numbers that sfdisk chooses for an image of 64 MiB: sectors 2048 to 129023.
  CHECK(partition_range(64 * kMiB) == ByteRange{2048 * 512, (129023 - 2048 + 1) * 512});
  CHECK(partition_range(64 * kMiB + 512) == ByteRange{kMiB, 62 * kMiB});
  CHECK(partition_range(65 * kMiB - 512) == ByteRange{kMiB, 62 * kMiB});
  CHECK(partition_range(20 * kTiB).end() == 20 * kTiB - kMiB);
  CHECK(partition_range(3 * kMiB) == ByteRange{kMiB, kMiB});
  CHECK(error_of([] { partition_range(3 * kMiB - 512); }) == "refused/disk-too-small");
}

TEST_CASE("a table reads back as it was asked for, in both sector sizes and up to 15 TiB") {
  const std::uint64_t sector_bytes = GENERATE(512, 4096);
  const std::uint64_t size = GENERATE(64 * kMiB, 64 * kMiB + 4096, 3 * kTiB, 15 * kTiB);
  CAPTURE(sector_bytes, size);
  test::ScratchDirectory scratch;
  std::filesystem::path path;
  try {
    path = scratch.image("disk0.img", size);
  } catch (const Error&) {
    WARN("skipped: this file system holds no file of " << size << " bytes");
    return;
  }
  block::FileDevice device = open_device(path, size, SectorSize(sector_bytes));

  const GptLayout written = write_gpt(device, request());

  CHECK(written == planned_layout(size, request()));
  CHECK(written.partition == partition_range(size));
  CHECK(written.type_guid.upper() == "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7");
  CHECK(read_gpt(*block::open_image_read_only(path, SectorSize(sector_bytes))) == written);
}

TEST_CASE("sgdisk finds no problem in the table") {
  if (test::program("sgdisk").empty()) {
    WARN("skipped: sgdisk is not installed");
    return;
  }
  test::ScratchDirectory scratch;
  const std::filesystem::path path = scratch.image("disk0.img", 100 * kMiB);
  block::FileDevice device = open_device(path, 100 * kMiB, SectorSize(512));
  write_gpt(device, request());

  const SubprocessResult verified = run_subprocess(test::program("sgdisk"), {"-v", path});
  CHECK(verified.exit_status == 0);
  CHECK(verified.output.find("No problems found") != std::string::npos);
  const SubprocessResult shown = run_subprocess(test::program("sgdisk"), {"-p", "-i", "1", path});
  CHECK(shown.output.find("Disk identifier (GUID): 11112222-3333-4444-8555-666677778888") !=
        std::string::npos);
  CHECK(shown.output.find("unique GUID: A1B2C3D4-E5F6-4711-8899-AABBCCDDEEFF") !=
        std::string::npos);
  CHECK(shown.output.find("(Microsoft basic data)") != std::string::npos);
  CHECK(shown.output.find("First sector: 2048 (") != std::string::npos);
  CHECK(shown.output.find("Partition name: 'Basic data partition'") != std::string::npos);
}

TEST_CASE("sgdisk finds no problem in the table of a disk with sectors of 4096 bytes", "[root]") {
  if (::geteuid() != 0 || test::program("sgdisk").empty() || test::program("losetup").empty()) {
    WARN("skipped: needs root, sgdisk and losetup");
    return;
  }
  test::ScratchDirectory scratch;
  const std::filesystem::path path = scratch.image("disk0.img", 100 * kMiB);
  {
    block::FileDevice device = open_device(path, 100 * kMiB, SectorSize(4096));
    write_gpt(device, request());
  }
  const SubprocessResult loop =
      run_subprocess(test::program("losetup"), {"--find", "--show", "--sector-size", "4096", path});
  if (loop.exit_status != 0) {
    WARN("skipped: no loop device to be had: " << loop.output);
    return;
  }
  const std::string node = loop.output.substr(0, loop.output.find('\n'));
  const SubprocessResult verified = run_subprocess(test::program("sgdisk"), {"-v", node});
  run_subprocess(test::program("losetup"), {"--detach", node});
  CHECK(verified.exit_status == 0);
  CHECK(verified.output.find("No problems found") != std::string::npos);
}

TEST_CASE("writing the table touches nothing outside the first and the last MiB") {
  test::ScratchDirectory scratch;
  const std::uint64_t size = 64 * kMiB;
  const std::filesystem::path path = scratch.image("disk0.img", size);
  const Bytes filler = test::pattern(size);
  block::FileDevice device = open_device(path, size, SectorSize(512));
  device.write(0, filler);

  write_gpt(device, request());

  Bytes middle(size - 2 * kMiB);
  device.read(kMiB, middle);
  CHECK(std::equal(middle.begin(), middle.end(), filler.begin() + kMiB));
}

TEST_CASE("an old table on the disk raises no question and does not survive") {
  test::ScratchDirectory scratch;
  const std::filesystem::path path = scratch.image("disk0.img", 64 * kMiB);
  block::FileDevice device = open_device(path, 64 * kMiB, SectorSize(512));
  GptRequest other = request();
  other.disk_guid = Guid::random();
  write_gpt(device, other);

  const GptLayout written = write_gpt(device, request());

  CHECK(written.disk_guid == request().disk_guid);
}

TEST_CASE("every damaged byte of the table is noticed") {
  const std::uint64_t sector = GENERATE(512, 4096);
  CAPTURE(sector);
  test::ScratchDirectory scratch;
  const std::uint64_t size = 64 * kMiB;
  block::FileDevice device =
      open_device(scratch.image("disk0.img", size), size, SectorSize(sector));
  write_gpt(device, request());
  block::MemoryDevice copy(device.size(), device.sector_size());
  copy_ends(device, copy);
  const GptLayout good = read_gpt(copy);

  constexpr std::uint64_t kTable = 128 * 128;
  std::vector<ByteRange> vital = {{446 + 4, 1},         {446 + 8, 8},  // the protective record
                                  {446 + 16 + 4, 1},    {510, 2},  // no second record; signature
                                  {sector, 92},         {size - sector, 92},  // headers
                                  {2 * sector, kTable}, {size - sector - kTable, kTable}};
  std::uint64_t unnoticed = 0;
  for (const ByteRange& range : vital) {
    for (std::uint64_t at = range.offset; at < range.end(); ++at) {
      flip(copy, at);
      if (error_of([&] { read_gpt(copy); }) != "verification/gpt-invalid") ++unnoticed;
      flip(copy, at);
    }
  }
  CHECK(unnoticed == 0);
  CHECK(read_gpt(copy) == good);
}

TEST_CASE("a disk is told by its GUID, also when its table is damaged") {
  test::ScratchDirectory scratch;
  const std::uint64_t size = 64 * kMiB;
  block::FileDevice device = open_device(scratch.image("disk0.img", size), size, SectorSize(512));
  CHECK_FALSE(names_disk(device, request().disk_guid));
  write_gpt(device, request());
  CHECK(names_disk(device, request().disk_guid));
  CHECK_FALSE(names_disk(device, Guid::random()));
  block::MemoryDevice copy(device.size(), device.sector_size());
  copy_ends(device, copy);
  flip(copy, 512 + 16);         // the checksum of the first header
  flip(copy, size - 512 + 56);  // the GUID of the other
  CHECK(names_disk(copy, request().disk_guid));
  flip(copy, 512 + 56);
  CHECK_FALSE(names_disk(copy, request().disk_guid));
  CHECK_FALSE(names_disk(block::MemoryDevice(512), request().disk_guid));
}

TEST_CASE("a disk without a table, or of an odd size, is told so") {
  CHECK(error_of([] { read_gpt(block::MemoryDevice(64 * kMiB)); }) == "verification/gpt-invalid");
  CHECK(error_of([] { read_gpt(block::MemoryDevice(64 * kMiB + 1)); }) ==
        "verification/gpt-invalid");
  CHECK(error_of([] { read_gpt(block::MemoryDevice(512)); }) == "verification/gpt-invalid");
}

TEST_CASE("a device that cannot be written is a write error") {
  test::ScratchDirectory scratch;
  const std::filesystem::path path = scratch.image("disk0.img", 64 * kMiB);
  block::FileDevice device(posix::open(path, O_RDONLY, ErrorKind::kWrite), "disk0.img", 64 * kMiB,
                           SectorSize(512));
  CHECK(error_of([&] { write_gpt(device, request()); }) == "write/gpt-write-failed");
}

TEST_CASE("a device of another size than the file is not given a table") {
  test::ScratchDirectory scratch;
  const std::filesystem::path path = scratch.image("disk0.img", 64 * kMiB);
  block::FileDevice device = open_device(path, 32 * kMiB, SectorSize(512));
  CHECK(error_of([&] { write_gpt(device, request()); }) == "write/gpt-write-failed");
}

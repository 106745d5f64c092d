#include "drive/inventory/signatures.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "drive/layout/gpt.h"
#include "tests/support/scratch.h"
#include "tests/support/windows_volumes.h"

using namespace driveprep;
using namespace driveprep::inventory;

namespace {

Signatures probe(const std::filesystem::path& path, SectorSize sector = SectorSize(512)) {
  const UniqueFd fd = posix::open(path, O_RDONLY, ErrorKind::kSource);
  return probe_signatures(fd.get(), {0, std::filesystem::file_size(path)}, sector, path.string());
}

const Signature* find(const Signatures& signatures, const std::string& type) {
  const auto it = std::ranges::find(signatures.found, type, &Signature::type);
  return it == signatures.found.end() ? nullptr : &*it;
}

// Runs `tool` on the image; false, visibly, when the tool is not there.
bool make(const std::string& tool, std::vector<std::string> arguments) {
  const std::string path = test::program(tool);
  if (path.empty()) {
    WARN("skipped: " << tool << " is not installed");
    return false;
  }
  const SubprocessResult made = run_subprocess(path, arguments);
  CAPTURE(made.output);
  REQUIRE(made.exit_status == 0);
  return true;
}

layout::GptLayout make_gpt(const std::filesystem::path& path, SectorSize sector) {
  block::FileDevice device(posix::open(path, O_RDWR, ErrorKind::kWrite), path.string(),
                           std::filesystem::file_size(path), sector);
  return layout::write_gpt(device, {Guid::random(), Guid::random()});
}

}  // namespace

TEST_CASE("an empty image shows no signature") {
  test::ScratchDirectory scratch;
  CHECK(probe(scratch.image("disk0.img", 64 * kMiB)).empty());
}

TEST_CASE("a table for sectors of 4096 bytes is seen when the sector size is told") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", 64 * kMiB);
  const layout::GptLayout written = make_gpt(path, SectorSize(4096));

  const Signatures told = probe(path, SectorSize(4096));

  REQUIRE(find(told, "gpt") != nullptr);
  CHECK(find(told, "gpt")->usage == Usage::kPartitionTable);
  CHECK(find(told, "gpt")->uuid == written.disk_guid.lower());
  CHECK(find(told, "gpt")->offset == 4096);
  CHECK(told.partitions == std::vector<ByteRange>{written.partition});
}

TEST_CASE("file systems made by their own tools are told by type, label and place") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", 64 * kMiB);
  if (make("mke2fs", {"-q", "-F", "-t", "ext4", "-L", "old data", path})) {
    const Signatures signatures = probe(path);
    REQUIRE(find(signatures, "ext4") != nullptr);
    CHECK(find(signatures, "ext4")->usage == Usage::kFilesystem);
    CHECK(find(signatures, "ext4")->label == "old data");
    CHECK(find(signatures, "ext4")->offset == 1024 + 0x38);
    CHECK(find(signatures, "ext4")->length == 2);
    CHECK(describe(signatures) == "ext4 'old data'");
  }
  const auto swap = scratch.image("swap.img", 64 * kMiB);
  if (make("mkswap", {swap})) CHECK(describe(probe(swap)) == "swap space");
}

TEST_CASE("a file system inside a partition is found with the partition it is in") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", 64 * kMiB);
  const layout::GptLayout written = make_gpt(path, SectorSize(512));
  if (!make("mke2fs", {"-q", "-F", "-t", "ext2", "-E",
                       "offset=" + std::to_string(written.partition.offset), path, "32M"})) {
    return;
  }
  const Signatures signatures = probe(path);
  REQUIRE(find(signatures, "ext2") != nullptr);
  CHECK(find(signatures, "ext2")->area == written.partition);
  CHECK(find(signatures, "ext2")->offset == written.partition.offset + 1024 + 0x38);
  CHECK(describe(signatures) == "GPT, ext2");
}

TEST_CASE("a GPT whose protective MBR is gone is found all the same") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", 64 * kMiB);
  make_gpt(path, SectorSize(512));
  const UniqueFd fd = posix::open(path, O_RDWR, ErrorKind::kWrite);
  posix::pwrite_all(fd.get(), 0, Bytes(512), "disk0.img", ErrorKind::kWrite);
  CHECK(find(probe(path), "gpt") != nullptr);
}

TEST_CASE("two contradicting signatures are both told") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", 64 * kMiB);
  if (!make("mke2fs", {"-q", "-F", "-t", "ext2", path})) return;
  // An MBR with one Linux partition, in the boot sector that ext2 leaves free.
  ByteWriter mbr;
  mbr.pad_to(446).u32(0).u32(0x83).u32(2048).u32(4096).pad_to(510).u16(0xAA55);
  const UniqueFd fd = posix::open(path, O_RDWR, ErrorKind::kWrite);
  posix::pwrite_all(fd.get(), 0, mbr.view(), "disk0.img", ErrorKind::kWrite);

  const Signatures signatures = probe(path);

  CHECK(find(signatures, "ext2") != nullptr);
  CHECK(find(signatures, "dos") != nullptr);
  CHECK(signatures.partitions == std::vector<ByteRange>{{2048 * 512, 4096 * 512}});
}

TEST_CASE("a label cannot smuggle control characters into the terminal") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", 64 * kMiB);
  if (!make("mke2fs", {"-q", "-F", "-t", "ext2", path})) return;
  // The label stands at 0x78 of the superblock: escape, text, right-to-left override, text.
  const UniqueFd fd = posix::open(path, O_RDWR, ErrorKind::kWrite);
  posix::pwrite_all(fd.get(), 1024 + 0x78,
                    as_bytes("a\x1B[2J\xE2\x80\xAE"
                             "b"),
                    "disk0.img", ErrorKind::kWrite);
  const Signatures signatures = probe(path);
  REQUIRE(find(signatures, "ext2") != nullptr);
  CHECK(find(signatures, "ext2")->label == "a[2Jb");
}

TEST_CASE("what cannot be read is an error, not an empty disk") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", 64 * kMiB);
  const UniqueFd write_only = posix::open(path, O_WRONLY, ErrorKind::kWrite);
  CHECK(test::error_of([&] {
          probe_signatures(write_only.get(), {0, 64 * kMiB}, SectorSize(512), "disk0.img");
        }) == "busy/probe-failed");
}

TEST_CASE("volumes that Windows encrypted are known as BitLocker", "[windows-volumes]") {
  for (const test::WindowsVolume& volume : test::windows_volumes()) {
    CAPTURE(volume.name);
    const Signatures signatures = probe(volume.image);
    REQUIRE(find(signatures, "BitLocker") != nullptr);
    CHECK(find(signatures, "BitLocker")->usage == Usage::kCrypto);
  }
}

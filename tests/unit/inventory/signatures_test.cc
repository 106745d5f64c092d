#include "drive/inventory/signatures.h"

#include <blkid/blkid.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "drive/inventory/membership.h"
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

namespace {

// What is made of several disks cannot be made here: a mark is put where libblkid looks for it.
struct Mark {
  std::string content;
  std::uint64_t offset = 0;
  Bytes bytes;
};

Mark text_mark(const std::string& content, std::uint64_t offset, std::string_view text) {
  const ByteView bytes = as_bytes(text);
  return {content, offset, Bytes(bytes.begin(), bytes.end())};
}

Mark btrfs_mark(const std::string& content, std::uint64_t devices) {
  ByteWriter superblock;
  superblock.pad_to(0x40).bytes(as_bytes("_BHRfS_M")).pad_to(0x88).u64(devices).pad_to(4096);
  const ByteView bytes = superblock.view();
  return {content, 64 * kKiB, Bytes(bytes.begin(), bytes.end())};
}

std::vector<Mark> marks_of_parts() {
  using namespace std::string_literals;
  const std::string bcache_head = std::string(8, '\0') + "\x08" + std::string(15, '\0');
  const std::string gfs2_head =
      "\x01\x16\x19\x70\0\0\0\x01"s + std::string(8, '\0') + "\0\0\0\x64\0\0\0\0"s;
  return {
      text_mark("bcache", 4096,
                bcache_head + "\xC6\x85\x73\xF6\x4E\x1A\x45\xCA\x82\x65\xF5\x7F\x48\xBA\x6D\x81"),
      text_mark("ceph_bluestore", 0, "bluestore block device"),
      text_mark("vdo", 0, "dmvdo001"),
      text_mark("DM_snapshot_cow", 0, "SnAp"),
      text_mark("DM_verity_hash", 0, "verity\0\0\x01\0\0\0"s),
      text_mark("LVM2_member", 512, "LABELONE\x01\0\0\0\0\0\0\0\0\0\0\0\x20\0\0\0LVM2 001"s),
      text_mark("VMFS_volume_member", kMiB, "\x0D\xD0\x01\xC0"),
      text_mark("ocfs2", 4096, "OCFSV2"),
      text_mark("gfs2", 64 * kKiB, gfs2_head + "\0\0\x07\x09\0\0\x07\x6C"s),
      btrfs_mark("btrfs of 3 devices", 3),
      btrfs_mark("btrfs of 0 devices", 0),
  };
}

Signatures probe_marked(const test::ScratchDirectory& scratch, const Mark& mark) {
  const auto path = scratch.image("marked.img", 64 * kMiB);
  {
    const UniqueFd fd = posix::open(path, O_RDWR, ErrorKind::kWrite);
    posix::pwrite_all(fd.get(), mark.offset, mark.bytes, path.string(), ErrorKind::kWrite);
  }
  Signatures signatures = probe(path);
  std::filesystem::remove(path);
  return signatures;
}

}  // namespace

TEST_CASE("what is a part of something larger is told by it") {
  const test::ScratchDirectory scratch;
  for (const Mark& mark : marks_of_parts()) {
    CAPTURE(mark.content);
    CHECK(probe_marked(scratch, mark).part_of == std::vector<std::string>{mark.content});
  }
  const auto journal = scratch.image("journal.img", 64 * kMiB);
  if (make("mke2fs", {"-q", "-F", "-O", "journal_dev", journal})) {
    CHECK(probe(journal).part_of == std::vector<std::string>{"jbd"});
  }
}

TEST_CASE("what stands alone is no part of anything") {
  const test::ScratchDirectory scratch;
  const Signatures btrfs = probe_marked(scratch, btrfs_mark("btrfs", 1));
  CHECK(find(btrfs, "btrfs") != nullptr);
  CHECK(btrfs.part_of.empty());
  const auto swap = scratch.image("swap.img", 64 * kMiB);
  if (make("mkswap", {swap})) CHECK(probe(swap).part_of.empty());
  const auto ext4 = scratch.image("ext4.img", 64 * kMiB);
  if (make("mke2fs", {"-q", "-F", "-t", "ext4", ext4})) CHECK(probe(ext4).part_of.empty());
}

TEST_CASE("disks of Windows that belong together are told by the type of a partition") {
  const test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", 64 * kMiB);
  const UniqueFd fd = posix::open(path, O_RDWR, ErrorKind::kWrite);
  ByteWriter mbr;
  mbr.pad_to(446).u32(0).u32(0x42).u32(2048).u32(4096).pad_to(510).u16(0xAA55);
  posix::pwrite_all(fd.get(), 0, mbr.view(), path.string(), ErrorKind::kWrite);
  CHECK(probe(path).part_of == std::vector<std::string>{"a Windows dynamic disk group"});
  CHECK(larger_whole("e75caf8f-f680-4cee-afa3-b001e56efc2d") == "Windows Storage Spaces");
  CHECK(larger_whole("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7") == std::nullopt);
}

// A newer libblkid knows more of them: none is taken for a disk that stands alone unseen.
TEST_CASE("of all that libblkid files under arrays and under nothing, only swap stands alone") {
  int seen = 0;
  const char* type = nullptr;
  int usage = 0;
  for (std::size_t at = 0; blkid_superblocks_get_name(at, &type, &usage) == 0; ++at) {
    const bool raid = usage == BLKID_USAGE_RAID;
    if (!raid && usage != BLKID_USAGE_OTHER) continue;
    CAPTURE(type);
    Signature signature;
    signature.type = type;
    signature.usage = raid ? Usage::kRaid : Usage::kOther;
    const bool alone = signature.type == "swap" || signature.type == "swsuspend";
    CHECK(larger_whole(-1, signature, "sdb").has_value() != alone);
    ++seen;
  }
  CHECK(seen > 20);
}

// What is wrong with a volume is found without knowing what was written to it.
#include "drive/ntfs/consistency.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <set>

#include "base/utf16.h"
#include "drive/ntfs/check/raw_record.h"
#include "tests/unit/ntfs/volume_fixture.h"

using namespace driveprep;
using namespace driveprep::ntfs;
using namespace driveprep::ntfs::test;

namespace {

constexpr std::uint64_t kSize = 48 * kMiB;
constexpr std::uint64_t kBlock = 4096;  // what a drive writes or does not

using Device = std::unique_ptr<block::MemoryDevice>;

struct Shape {
  std::uint64_t bytes = kSize;
  SectorSize sector{512};
  std::optional<std::uint32_t> cluster_size = {};
};

std::u16string name_of(const char* kind, int number) {
  return *utf16_from_utf8(kind + std::to_string(number) + (number % 3 == 0 ? " Ä" : " b"));
}

Device formatted(const Shape& shape = {}) {
  auto device = std::make_unique<block::MemoryDevice>(shape.bytes, shape.sector);
  format_volume({shape.bytes, shape.sector, Lba{2048}, "CHECK", shape.cluster_size})
      .copy_to(*device);
  return device;
}

// `files` in each of `directories`, a sixth of them in clusters of their own.
void add_files(VolumeWriter& writer, int directories, int files, const char* kind = "file ") {
  for (int d = 0; d < directories; ++d) {
    writer.enter_directory(name_of("directory ", d));
    for (int f = 0; f < files; ++f) {
      writer.write_small(name_of(kind, f), times_of(f), content_of(f % 6 == 0 ? 5000 : 90, f));
    }
    writer.leave_directory(times_of(d));
  }
}

std::optional<std::string> look(const block::ReadableDevice& device) {
  VolumeReader reader(device);
  return find_inconsistency(device, reader);
}

// The same, where the library may refuse the volume before.
bool found(const block::ReadableDevice& device) {
  try {
    return look(device).has_value();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kVerification);
    return true;
  }
}

// Made in two runs, so that indexes are built at once and entry by entry.
void begin_volume(block::BlockDevice& device) {
  DirectSink sink(device);
  VolumeWriter writer(device, sink, {.planned_records = 700});
  writer.reserve(std::vector<ReservedFile>{{u"FVE2.{a}", {20 * kMiB, 64 * kKiB}}});
  add_files(writer, 3, 60);
  checkpoint(writer);
}

void end_volume(block::BlockDevice& device) {
  DirectSink sink(device);
  VolumeWriter writer(device, sink, {.planned_records = 700});
  add_files(writer, 2, 70, "later ");
  write_large(writer, device, u"large", times_of(1), content_of(3'000'000, 5));
  finish(writer);
}

Device volume_of_two_runs(const Shape& shape = {}) {
  Device device = formatted(shape);
  begin_volume(*device);
  end_volume(*device);
  return device;
}

// Blocks of the files that were put there: not what a check of the file system looks at.
std::set<std::uint64_t> data_blocks(const block::ReadableDevice& device) {
  std::set<std::uint64_t> blocks;
  VolumeReader reader(device);
  std::vector<std::u16string> paths = {u""};
  while (!paths.empty()) {
    const std::u16string path = paths.back();
    paths.pop_back();
    for (const DirectoryEntry& entry : reader.list(path)) {
      if (entry.name.starts_with(u'$') || entry.name == u".") continue;
      const std::u16string child = path + u"/" + entry.name;
      if (entry.directory) {
        paths.push_back(child);
        continue;
      }
      const std::optional<FileInfo> file = reader.open(child);
      for (const ByteRange& range : file->ranges) {
        for (std::uint64_t at = range.offset; at < range.end(); at += kBlock) {
          blocks.insert(at / kBlock);
        }
      }
    }
  }
  return blocks;
}

Bytes block_of(const block::ReadableDevice& device, std::uint64_t number) {
  Bytes bytes(kBlock);
  device.read(number * kBlock, bytes);
  return bytes;
}

// Records say how often they were written, in their update sequences, and nothing more may differ.
bool same_but_for_writing(Bytes left, Bytes right) {
  constexpr std::size_t kRecord = 1024;
  for (Bytes* block : {&left, &right}) {
    for (std::size_t at = 0; at < kBlock; at += kRecord) {
      const MutableByteView record = MutableByteView(*block).subspan(at, kRecord);
      if (!as_text(record).starts_with("FILE")) continue;
      check::restore_strides(record, "FILE");
      const auto [offset, length] = check::update_sequence(record);
      std::ranges::fill(record.subspan(offset, length), std::byte{0});
    }
  }
  return left == right;
}

}  // namespace

TEST_CASE("nothing is found on a volume that is whole") {
  const auto shape =
      GENERATE(Shape{}, Shape{kSize, SectorSize(4096), {}},
               Shape{96 * kMiB, SectorSize(512), 65536}, Shape{96 * kMiB, SectorSize(4096), 16384});
  CAPTURE(shape.sector.bytes(), shape.cluster_size.value_or(0));
  CHECK(look(*formatted(shape)) == std::nullopt);
  CHECK(look(*volume_of_two_runs(shape)) == std::nullopt);
}

TEST_CASE("nothing is found where directories are large and files were removed") {
  Device device = formatted();
  {
    DirectSink sink(*device);
    VolumeWriter writer(*device, sink, {});
    add_files(writer, 1, 3000);
    checkpoint(writer);
    writer.enter_directory(name_of("directory ", 0));
    for (int f = 0; f < 3000; f += 7) writer.remove(name_of("file ", f));
    for (int f = 0; f < 3000; f += 14) writer.write_small(name_of("file ", f), times_of(f), {});
    writer.leave_directory();
    finish(writer);
  }
  CHECK(look(*device) == std::nullopt);
}

TEST_CASE("a log that Windows has begun is its own affair") {
  const Device device = formatted();
  VolumeReader reader(*device);
  const std::uint64_t log = reader.open(u"$LogFile")->ranges.front().offset;
  Bytes page = block_of(*device, log / kBlock);
  std::ranges::copy(as_bytes("RSTR"), page.begin());
  device->write(log, page);
  CHECK(look(*device) == std::nullopt);
  page[0] = std::byte{0};
  device->write(log, page);
  CHECK(look(*device) == "$LogFile is not empty");
}

TEST_CASE("a file in so many pieces that one record does not hold them is whole, or is not") {
  Device device = formatted();
  DirectSink sink(*device);
  VolumeWriter writer(*device, sink, {});
  writer.enter_directory(u"d");
  int files = 0;
  while (writer.free_bytes() > 8 * kMiB) {
    writer.write_small(name_of("file ", files), times_of(1), content_of(30'000, files));
    ++files;
  }
  const std::uint64_t rest = writer.free_bytes() - kMiB;
  write_large(writer, *device, u"rest", times_of(1), content_of(rest, 1));
  checkpoint(writer);
  for (int f = 0; f < files; f += 2) writer.remove(name_of("file ", f));
  checkpoint(writer);
  write_large(writer, *device, u"pieces", times_of(1), content_of(files / 2 * 25'000, 2));
  writer.leave_directory();
  finish(writer);
  CHECK(look(*device) == std::nullopt);

  VolumeReader reader(*device);
  const std::optional<FileInfo> file = reader.open(u"d/pieces");
  REQUIRE(file->ranges.size() > 300);
  // Its further records name it: without one of them it is not all there.
  const std::optional<FileInfo> mft = reader.open(u"$MFT");
  int continued = 0;
  for (const ByteRange& range : mft->ranges) {
    for (std::uint64_t at = range.offset; at < range.end(); at += 1024) {
      Bytes record(1024);
      device->read(at, record);
      ByteReader base(ByteView(record).subspan(32));
      if (!check::says_in_use(record) || base.u64() == 0) continue;
      ++continued;
      const Bytes whole = record;
      record[22] = std::byte{0};  // no longer in use
      device->write(round_down(at, 512), ByteView(record).first(512));
      CHECK(found(*device));
      device->write(round_down(at, 512), ByteView(whole).first(512));
    }
  }
  CHECK(continued > 0);
  CHECK(look(*device) == std::nullopt);
}

TEST_CASE("a block of the file system's own that is lost is found, whichever it is") {
  const Device whole = volume_of_two_runs();
  const std::set<std::uint64_t> data = data_blocks(*whole);
  const Bytes noise = content_of(kBlock, 77);
  const Bytes zeros(kBlock);
  std::size_t lost = 0;
  for (std::uint64_t number = 0; number < kSize / kBlock; ++number) {
    const Bytes block = block_of(*whole, number);
    // What says nothing but zeros is either free or as good as lost.
    if (data.contains(number) || block == zeros) continue;
    CAPTURE(number);
    for (const Bytes& other : {zeros, noise}) {
      whole->write(number * kBlock, other);
      CHECK(found(*whole));
    }
    whole->write(number * kBlock, block);
    ++lost;
  }
  CHECK(lost > 600);
  CHECK(look(*whole) == std::nullopt);
}

TEST_CASE("a block that kept what an earlier run had written to it is found") {
  Device device = formatted();
  begin_volume(*device);
  const Device before = std::make_unique<block::MemoryDevice>(kSize, SectorSize(512));
  for (std::uint64_t at = 0; at < kSize; at += kBlock)
    before->write(at, block_of(*device, at / kBlock));
  end_volume(*device);
  const std::set<std::uint64_t> data = data_blocks(*device);
  std::size_t kept = 0;
  for (std::uint64_t number = 0; number < kSize / kBlock; ++number) {
    const Bytes block = block_of(*device, number);
    const Bytes old = block_of(*before, number);
    if (data.contains(number) || block == old) continue;
    if (same_but_for_writing(block, old)) continue;
    CAPTURE(number);
    device->write(number * kBlock, old);
    CHECK(found(*device));
    device->write(number * kBlock, block);
    ++kept;
  }
  CHECK(kept > 20);
}

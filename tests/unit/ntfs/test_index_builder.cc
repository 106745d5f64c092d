// The tree of a directory: whole by its own rules, and found by the library and by sleuthkit.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "base/utf16.h"
#include "drive/ntfs/index_builder.h"
#include "tests/unit/ntfs/volume_fixture.h"

using namespace driveprep;
using namespace driveprep::ntfs;
using namespace driveprep::ntfs::test;

namespace {

constexpr std::size_t kBlock = 4096;

// Walks the tree from a block and collects the references in order.
class Walk {
 public:
  Walk(const BuiltIndex& index, std::uint64_t vcns) : index_(index), vcns_(vcns) {}

  void block(std::uint64_t vcn, int depth) {
    REQUIRE(vcn % vcns_ == 0);
    const std::size_t at = vcn / vcns_ * kBlock;
    REQUIRE(at < index_.blocks.size());
    ++blocks;
    const ByteView whole = ByteView(index_.blocks).subspan(at, kBlock);
    ByteReader header(whole);
    CHECK(as_text(header.take(4)) == "INDX");
    header.skip(12);
    CHECK(header.u64() == vcn);
    const std::size_t first = header.u32();
    const std::size_t length = header.u32();
    CHECK(header.u32() == kBlock - 0x18);
    const bool inner = header.u8() == 1;
    ByteReader entries(whole.subspan(0x18 + first, length - first));
    for (bool last = false; !last;) {
      const std::size_t begin = entries.position();
      const std::uint64_t reference = entries.u64();
      const std::size_t entry_length = entries.u16();
      entries.skip(2);
      const std::uint16_t flags = entries.u16();
      last = (flags & 2) != 0;
      CHECK(((flags & 1) != 0) == inner);
      entries.skip(entry_length - 14 - (inner ? 8 : 0));
      if (inner) block(entries.u64(), depth + 1);
      if (last && references.empty()) FAIL("a block without entries");
      if (!last) references.push_back(reference);
      CHECK(entries.position() - begin == entry_length);
      CHECK(entry_length % 8 == 0);
    }
    CHECK(entries.remaining() == 0);
    if (!inner) leaf_depths.push_back(depth);
  }

  std::vector<std::uint64_t> references;
  std::vector<int> leaf_depths;
  std::size_t blocks = 0;

 private:
  const BuiltIndex& index_;
  std::uint64_t vcns_;
};

std::u16string name_of(std::uint64_t n) { return *utf16_from_utf8("n" + std::to_string(n)); }

}  // namespace

TEST_CASE("a tree holds every entry once, in order, in blocks that are never empty") {
  const std::size_t key_bytes = GENERATE(68, 300, 576);
  const std::uint64_t vcns = GENERATE(1, 8);
  const Bytes key(key_bytes);
  // Around every number of entries at which a block or a level more is needed.
  std::vector<std::size_t> counts;
  for (std::size_t n = 1; n <= 200; ++n) counts.push_back(n);
  counts.insert(counts.end(), {1'000, 5'000, 40'000});
  for (const std::size_t count : counts) {
    std::vector<IndexEntry> entries;
    for (std::size_t i = 0; i < count; ++i) entries.push_back({i + 1, key});
    const BuiltIndex index = build_index(entries, kBlock, vcns);
    Walk walk(index, vcns);
    walk.block(index.top, 0);
    REQUIRE(walk.references.size() == count);
    CHECK(std::ranges::is_sorted(walk.references));
    CHECK(walk.references.front() == 1);
    CHECK(walk.blocks == index.count(kBlock));
    CHECK(std::ranges::all_of(walk.leaf_depths,
                              [&](int depth) { return depth == walk.leaf_depths.front(); }));
  }
}

TEST_CASE("directories of every size, filled in any order, are searched and listed by others") {
  const SectorSize sector(GENERATE(512, 4096));
  const std::uint32_t cluster = GENERATE(4096, 65536);
  const TemporaryDirectory directory;
  const auto path = directory / "image";
  const auto image = make_image(path, 256 * kMiB, sector);
  format_volume({image->size(), sector, Lba{2048}, "T", cluster}).copy_to(*image);
  DirectSink sink(*image);
  const std::vector<std::uint64_t> sizes = {1, 3, 4, 5, 39, 45, 60, 1'000, 6'000};
  {
    VolumeWriter writer(*image, sink, {});
    std::mt19937 random(1);
    for (const std::uint64_t size : sizes) {
      std::vector<std::uint64_t> numbers(size);
      std::ranges::generate(numbers, [n = 0ULL]() mutable { return n++; });
      std::ranges::shuffle(numbers, random);
      writer.enter_directory(u"d" + name_of(size));
      for (const std::uint64_t n : numbers) writer.write_small(name_of(n), times_of(n), {});
      // What comes after a checkpoint goes into a tree that is there already.
      checkpoint(writer);
      for (std::uint64_t n = size; n < size + 50; ++n) {
        writer.write_small(name_of(n), times_of(n), content_of(10, n));
      }
      writer.leave_directory(times_of(size));
    }
    finish(writer);
  }
  CHECK(complaints(path) == "");
  VolumeReader reader(*image);
  for (const std::uint64_t size : sizes) {
    const std::u16string parent = u"d" + name_of(size);
    CHECK(reader.list(parent).size() == size + 50);
    for (std::uint64_t n = 0; n < size + 50; ++n) {
      const auto found = reader.open(parent + u"/" + name_of(n));
      if (!found || found->times != times_of(n)) FAIL_CHECK("n" << n << " of " << size);
    }
    CHECK_FALSE(reader.open(parent + u"/" + name_of(size + 50)).has_value());
  }
  if (!have("fls")) return;
  const auto listed = listed_by_sleuthkit(path);
  for (const std::uint64_t size : sizes) {
    for (std::uint64_t n = 0; n < size + 50; ++n) {
      const std::string name = "dn" + std::to_string(size) + "/n" + std::to_string(n);
      if (!listed.contains(name)) FAIL_CHECK(name);
    }
  }
}

TEST_CASE("a name that is there already is refused, before and after it was settled") {
  const TemporaryDirectory directory;
  const auto image = make_image(directory / "image", 64 * kMiB, SectorSize(512));
  format_volume({image->size(), SectorSize(512), Lba{2048}, "T", {}}).copy_to(*image);
  const bool settled = GENERATE(false, true);
  DirectSink sink(*image);
  VolumeWriter writer(*image, sink, {});
  writer.enter_directory(u"d");
  for (std::uint64_t n = 0; n < 100; ++n) writer.write_small(name_of(n), times_of(n), {});
  if (settled) checkpoint(writer);
  std::string code = "none";
  try {
    writer.write_small(name_of(42), times_of(0), {});
  } catch (const Error& error) {
    code = error.code();
    CHECK(std::string(error.what()).find("n42") != std::string::npos);
  }
  CHECK(code == "name-exists");
}

#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>

#include "base/utf16.h"
#include "tests/unit/ntfs/volume_fixture.h"

using namespace driveprep;
using namespace driveprep::ntfs;
using namespace driveprep::ntfs::test;

namespace {

std::u16string numbered(std::u16string_view stem, std::uint64_t n) {
  return std::u16string(stem) + *utf16_from_utf8(std::to_string(n));
}

// An image file with a fresh volume and what a writer needs.
struct Volume {
  explicit Volume(std::uint64_t size = 128 * kMiB, SectorSize sector = SectorSize(512),
                  std::optional<std::uint32_t> cluster = {})
      : path(directory / "image"), image(make_image(path, size, sector)), sink(*image) {
    // Old content of the drive must never show.
    const Bytes garbage = content_of(kMiB, 4711);
    for (std::uint64_t at = 0; at < size; at += kMiB) {
      image->write(at, ByteView(garbage).first(std::min(kMiB, size - at)));
    }
    format_volume({size, sector, Lba{2048}, "TEST", cluster}).copy_to(*image);
  }

  TemporaryDirectory directory;
  std::filesystem::path path;
  std::unique_ptr<block::FileDevice> image;
  RecordingSink sink;
};

template <typename Call>
std::string code_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return "none";
}

struct Wanted {
  std::u16string path;
  Bytes content;
  FileTimes times;
};

}  // namespace

TEST_CASE("a tree of every awkward kind reads back equal by this reader and by sleuthkit") {
  const SectorSize sector(GENERATE(512, 4096));
  const std::uint32_t cluster = GENERATE(4096, 65536);
  Volume volume(256 * kMiB, sector, cluster);
  std::vector<Wanted> wanted;
  std::vector<std::pair<std::u16string, FileTimes>> directories;
  {
    VolumeWriter writer(*volume.image, volume.sink, {.planned_records = 3000});
    std::uint64_t seed = 0;
    std::u16string at;
    const auto enter = [&](const std::u16string& name) {
      writer.enter_directory(name);
      at += (at.empty() ? u"" : u"/") + name;
    };
    const auto leave = [&] {
      const FileTimes times = times_of(++seed);
      writer.leave_directory(times);
      directories.emplace_back(at, times);
      const std::size_t slash = at.rfind(u'/');
      at = slash == std::u16string::npos ? u"" : at.substr(0, slash);
    };
    const auto add = [&](const std::u16string& name, std::uint64_t size) {
      Wanted file{at.empty() ? name : at + u"/" + name, content_of(size, ++seed), times_of(seed)};
      if (size <= kMiB) {
        writer.write_small(name, file.times, file.content);
      } else {
        write_large(writer, *volume.image, name, file.times, file.content);
      }
      wanted.push_back(std::move(file));
    };

    enter(u"session");
    // Sizes around everything that changes with size.
    for (std::uint64_t size : {0, 1, 7, 8, 600, 1025, 3500, 3700, 4095, 4096, 4097, 65535, 65536,
                               65537, 1048576, 4194304, 4194305, 7000003}) {
      add(numbered(u"size-", size), size);
    }
    for (std::uint64_t size = 700; size < 740; ++size) add(numbered(u"edge-", size), size);
    for (std::uint64_t size = 3600; size < 3800; size += 9) add(numbered(u"edge-", size), size);

    enter(u"names");
    for (const std::u16string& name :
         {std::u16string(u"été"), std::u16string(u"e\u0301te\u0301"), std::u16string(u"文書.txt"),
          std::u16string(u"שלום"), std::u16string(u"\U0001F600\U0001F680.png"),
          std::u16string(255, u'x'), std::u16string(254, u'ж') + u"я", std::u16string(u"a"),
          std::u16string(u"A-case"), std::u16string(u"a-Case")}) {
      add(name, 50);
      add(name.substr(0, 250) + u".big", 5000);
    }
    leave();
    for (int level = 0; level < 40; ++level) enter(numbered(u"level-with-a-long-name-", level));
    add(u"deep", 10);
    add(u"deep-large", 2 * kMiB + 1);
    for (int level = 0; level < 40; ++level) leave();
    enter(u"many");
    for (int n = 0; n < 1500; ++n) add(numbered(u"file number ", (n * 7919) % 1500), 300 + n % 900);
    leave();
    enter(u"empty");
    leave();
    leave();
    CHECK(writer.depth() == 0);
    CHECK(writer.files_created() == wanted.size());
    finish(writer);
  }

  CHECK(complaints(volume.path) == "");
  VolumeReader reader(*volume.image);
  CHECK_FALSE(reader.marked_dirty());
  for (const Wanted& file : wanted) {
    const auto info = reader.open(file.path);
    REQUIRE(info.has_value());
    if (info->size != file.content.size() || info->valid_length != info->size ||
        info->times != file.times || info->attributes != kAttributeArchive) {
      FAIL("the record of " << *utf8_from_utf16(file.path) << " differs");
    }
    if (read_file(reader, *volume.image, file.path) != file.content) {
      FAIL("the content of " << *utf8_from_utf16(file.path) << " differs");
    }
    // Behind the end of the file up to the end of its last cluster: zeros.
    if (!info->resident && info->size % cluster != 0) {
      const ByteRange last = info->ranges.back();
      const std::uint64_t tail = cluster - info->size % cluster;
      Bytes rest(tail);
      volume.image->read(last.end() - tail, rest);
      if (rest != Bytes(tail)) FAIL("old content shows behind " << *utf8_from_utf16(file.path));
    }
  }
  for (const auto& [path, times] : directories) {
    const auto info = reader.open(path);
    REQUIRE(info.has_value());
    CHECK(info->is_directory());
    CHECK(info->times == times);
  }
  if (have("fls") && have("icat")) {
    const auto listed = listed_by_sleuthkit(volume.path);
    std::size_t checked = 0;
    for (const Wanted& file : wanted) {
      const auto found = listed.find(*utf8_from_utf16(file.path));
      // Sleuthkit's listing is cut at 64 KiB of output here; what it shows must be right.
      if (found == listed.end()) continue;
      if (checked++ >= 60) break;
      if (extracted_by_sleuthkit(volume.path, found->second, volume.directory) != file.content) {
        FAIL("sleuthkit reads another " << found->first);
      }
    }
    CHECK(checked >= 60);
  }
}

TEST_CASE("small files are packed one behind the other and handed over in large pieces") {
  Volume volume;
  VolumeWriter writer(*volume.image, volume.sink, {.planned_records = 3000});
  for (int n = 0; n < 3000; ++n) {
    writer.write_small(numbered(u"f", n), times_of(n), content_of(4096 + n % 4000, n));
  }
  const std::uint64_t data = writer.find(numbered(u"f", 0))->ranges.at(0).offset;
  finish(writer);
  CHECK(volume.sink.writes.size() <= 8);
  for (const ByteRange& write : volume.sink.writes) CHECK(write.length % 4096 == 0);
  // The records of the files lie in front of their data, and go to the sink too.
  const auto records = [&](const ByteRange& write) { return write.end() <= data; };
  const auto large = [&](const ByteRange& write) { return write.length >= 2 * kMiB; };
  CHECK(std::ranges::count_if(volume.sink.writes, records) > 0);
  std::erase_if(volume.sink.writes, records);
  CHECK(std::ranges::count_if(volume.sink.writes, large) >= 4);
  for (std::size_t i = 1; i < volume.sink.writes.size(); ++i) {
    CHECK(volume.sink.writes[i].offset >= volume.sink.writes[i - 1].end());
  }
}

TEST_CASE("a partly filled buffer is handed over and the next file starts at the next cluster") {
  Volume volume;
  VolumeWriter writer(*volume.image, volume.sink, {});
  writer.write_small(u"one", times_of(1), content_of(5000, 1));
  writer.flush_data();
  writer.flush_data();  // nothing more to hand over
  writer.write_small(u"two", times_of(2), content_of(5000, 2));
  const auto large = writer.allocate(10'000);
  writer.write_small(u"three", times_of(3), content_of(5000, 3));
  writer.write_file(u"large", times_of(4), 0, {}, 0);
  writer.release(large);
  finish(writer);
  REQUIRE(volume.sink.writes.size() == 3);
  CHECK(volume.sink.writes[0].length == 8192);
  CHECK(volume.sink.writes[1].offset == volume.sink.writes[0].end());
  VolumeReader reader(*volume.image);
  CHECK(read_file(reader, *volume.image, u"one") == content_of(5000, 1));
  CHECK(read_file(reader, *volume.image, u"two") == content_of(5000, 2));
  CHECK(read_file(reader, *volume.image, u"three") == content_of(5000, 3));
  CHECK(complaints(volume.path) == "");
}

TEST_CASE("nothing reaches the metadata device outside a flush, and nothing when it is unmounted") {
  Volume volume;
  struct Watched : block::Slice {
    using Slice::Slice;
    void write(std::uint64_t offset, ByteView data) override {
      ++writes;
      Slice::write(offset, data);
    }
    int writes = 0;
  };
  Watched device(*volume.image, {0, volume.image->size()}, "watched");
  {
    VolumeWriter writer(device, volume.sink, {});
    for (int d = 0; d < 5; ++d) {
      writer.enter_directory(numbered(u"d", d));
      for (int n = 0; n < 200; ++n) {
        writer.write_small(numbered(u"f", n), times_of(n), content_of(500, n));
      }
      writer.leave_directory();
    }
    CHECK(writer.dirty_bytes() > 1000 * 1024);
    CHECK(device.writes == 0);
    checkpoint(writer);
    CHECK(device.writes > 0);
    CHECK(writer.dirty_bytes() == 0);
    writer.enter_directory(u"lost");
    writer.write_small(u"lost", times_of(1), content_of(9000, 1));
    device.writes = 0;
  }  // abandoned
  CHECK(device.writes == 0);
  CHECK(complaints(volume.path) == "");
  {
    VolumeReader reader(*volume.image);
    CHECK(reader.marked_dirty());
    CHECK(reader.open(u"d4/f199").has_value());
    CHECK_FALSE(reader.open(u"lost").has_value());
  }
  {
    VolumeWriter writer(device, volume.sink, {});
    writer.enter_directory(u"d0");
    CHECK(writer.find(u"f0")->size == 500);
    writer.flush_data();
    writer.finish();
    writer.checkpoint_done();
    device.writes = 0;
    writer.close();
    CHECK(code_of([&] { writer.dirty_bytes(); }) == "internal");
  }
  CHECK(device.writes == 0);
  VolumeReader reader(*volume.image);
  CHECK_FALSE(reader.marked_dirty());
  CHECK(complaints(volume.path) == "");
}

TEST_CASE("reserved ranges belong to hidden system files and no other file ever touches them") {
  const SectorSize sector(GENERATE(512, 4096));
  Volume volume(96 * kMiB, sector);
  const std::vector<ReservedFile> areas = {
      {u"FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.1", {20 * kMiB, 65536}},
      {u"FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.2", {40 * kMiB, 65536}},
      {u"FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.3", {60 * kMiB, 65536}},
      {u"FVE2.{24e6f0ae-6a00-4f73-984b-75ce9942852d}", {60 * kMiB + 65536, 8192}}};
  const Bytes mark = content_of(65536, 1234);
  for (const ReservedFile& area : areas) {
    volume.image->write(area.range.offset, ByteView(mark).first(area.range.length));
  }
  std::uint64_t written = 0;
  {
    VolumeWriter writer(*volume.image, volume.sink, {});
    writer.reserve(areas);
    checkpoint(writer);
    writer.reserve(areas);  // as on resume
    const auto ranges = writer.allocate(30 * kMiB);
    CHECK(ranges.size() <= 5);
    writer.write_file(u"large", times_of(1), 30 * kMiB, ranges, 0);
    // Fill what is left.
    while (writer.free_bytes() > 3 * kMiB) {
      writer.write_small(numbered(u"fill", written), times_of(1), content_of(300'000, written));
      ++written;
    }
    CHECK(code_of([&] { writer.allocate(100 * kMiB); }) == "volume-full");
    writer.write_small(u"still works", times_of(1), content_of(100, 1));
    finish(writer);
  }
  CHECK(written > 90);
  CHECK(complaints(volume.path) == "");
  for (const ReservedFile& area : areas) {
    Bytes found(area.range.length);
    volume.image->read(area.range.offset, found);
    CHECK(std::equal(found.begin(), found.end(), mark.begin()));
  }
  VolumeReader reader(*volume.image);
  constexpr std::uint32_t kBoth = kAttributeHidden | kAttributeSystem;
  CHECK((reader.open(u"System Volume Information")->attributes & kBoth) == kBoth);
  for (const ReservedFile& area : areas) {
    const auto info = reader.open(u"System Volume Information/" + area.name);
    REQUIRE(info.has_value());
    CHECK(info->ranges == std::vector{area.range});
    CHECK(info->size == area.range.length);
    CHECK((info->attributes & kBoth) == kBoth);
  }
  for (std::uint64_t n = 0; n < written; ++n) {
    if (read_file(reader, *volume.image, numbered(u"fill", n)) != content_of(300'000, n)) {
      FAIL("file " << n << " differs");
    }
  }
}

TEST_CASE("records name their directory with its sequence number, and $MFT keeps its own facts") {
  if (!have("istat")) return;
  Volume volume;
  const auto facts_of = [&](const std::string& record, const std::string& first,
                            const std::string& last) {
    const std::string text = run("istat", {volume.path, record}).output;
    const std::size_t begin = text.find(first);
    REQUIRE(begin != std::string::npos);
    return text.substr(begin, text.find(last, begin) - begin);
  };
  const std::string mft_before = facts_of("0", "$STANDARD_INFORMATION", "$FILE_NAME");
  VolumeWriter writer(*volume.image, volume.sink, {});
  writer.write_small(u"in the root", times_of(1), content_of(10, 1));
  writer.enter_directory(u"directory");
  writer.write_small(u"within", times_of(1), content_of(10, 1));
  writer.leave_directory(times_of(2));
  writer.write_small(u"in the root, later", times_of(1), content_of(10, 1));
  finish(writer);
  const auto records = listed_by_sleuthkit(volume.path);
  for (const char* name : {"in the root", "in the root, later"}) {
    INFO(name);
    CHECK_THAT(facts_of(records.at(name), "Parent MFT Entry", "\n"),
               Catch::Contains("Entry: 5 ") && Catch::Contains("Sequence: 5"));
  }
  CHECK_THAT(facts_of(records.at("directory/within"), "Parent MFT Entry", "\n"),
             Catch::Contains("Sequence: 1"));
  CHECK(facts_of("0", "$STANDARD_INFORMATION", "$FILE_NAME") == mft_before);
}

TEST_CASE("records go on behind a reserved range that lies in their way") {
  Volume volume;
  VolumeWriter writer(*volume.image, volume.sink, {.planned_records = 12'000});
  writer.reserve(std::vector<ReservedFile>{{u"a", {3 * kMiB, 65536}}, {u"b", {7 * kMiB, 65536}}});
  for (int n = 0; n < 10'000; ++n) {
    writer.write_small(numbered(u"f", n), times_of(n), content_of(4096 + n % 100, n));
    if (n % 3000 == 0) checkpoint(writer);
  }
  finish(writer);
  const std::vector<ByteRange> records = VolumeReader(*volume.image).open(u"$MFT")->ranges;
  CHECK(records.size() <= 3);
  CHECK(records.back().end() < 16 * kMiB);
  CHECK(complaints(volume.path) == "");
}

TEST_CASE("a range that is in use, overlaps another or was elsewhere is not reserved") {
  Volume volume;
  const auto attempt = [&](const std::vector<ReservedFile>& files) {
    VolumeWriter writer(*volume.image, volume.sink, {});
    return code_of([&] { writer.reserve(files); });
  };
  CHECK(attempt({{u"a", {0, 8192}}}) == "reserved-range");
  CHECK(attempt({{u"a", {20 * kMiB, 65536}}, {u"b", {20 * kMiB + 65535, 10}}}) == "reserved-range");
  CHECK(attempt({{u"a", {volume.image->size() - 100, 65536}}}) == "reserved-range");
  {
    VolumeWriter writer(*volume.image, volume.sink, {});
    writer.reserve(std::vector<ReservedFile>{{u"a", {20 * kMiB, 65536}}});
    finish(writer);
  }
  CHECK(attempt({{u"a", {20 * kMiB, 65536}}}) == "none");
  CHECK(attempt({{u"a", {24 * kMiB, 65536}}}) == "reserved-range");
}

TEST_CASE("a reserved range is rounded outwards to clusters") {
  Volume volume(128 * kMiB, SectorSize(512), 65536);
  VolumeWriter writer(*volume.image, volume.sink, {});
  writer.reserve(std::vector<ReservedFile>{{u"a", {20 * kMiB + 4096, 65536}}});
  finish(writer);
  VolumeReader reader(*volume.image);
  CHECK(reader.open(u"System Volume Information/a")->ranges ==
        std::vector<ByteRange>{{20 * kMiB, 131072}});
  CHECK(complaints(volume.path) == "");
}

TEST_CASE("a file of thousands of runs is whole and clean") {
  Volume volume(128 * kMiB);
  Bytes content = content_of(3000 * 4096 - 77, 8);
  {
    VolumeWriter writer(*volume.image, volume.sink, {});
    const auto ranges = writer.allocate(6000 * 4096);
    std::vector<ByteRange> odd;
    std::vector<ByteRange> even;
    for (const ByteRange& range : ranges) {
      for (std::uint64_t at = range.offset; at < range.end(); at += 4096) {
        ((at / 4096) % 2 == 0 ? even : odd).push_back({at, 4096});
      }
    }
    odd.resize(3000);
    even.resize(3000);
    Bytes padded = content;
    padded.resize(3000 * 4096);
    for (std::size_t i = 0; i < odd.size(); ++i) {
      volume.image->write(odd[i].offset, ByteView(padded).subspan(i * 4096, 4096));
    }
    writer.write_file(u"scattered", times_of(1), content.size(), odd, content.size());
    writer.release(even);
    finish(writer);
  }
  CHECK(complaints(volume.path) == "");
  VolumeReader reader(*volume.image);
  CHECK(reader.open(u"scattered")->ranges.size() == 3000);
  CHECK(read_file(reader, *volume.image, u"scattered") == content);
}

TEST_CASE("what is not yet valid of a large file reads as zeros, and a later run completes it") {
  Volume volume;
  const Bytes content = content_of(3'000'123, 5);
  const std::uint64_t first_part = 1'000'000;
  {
    VolumeWriter writer(*volume.image, volume.sink, {});
    writer.enter_directory(u"d");
    const auto ranges = writer.allocate(content.size());
    REQUIRE(ranges.size() == 1);
    volume.image->write(ranges[0].offset, ByteView(content).first(round_down(first_part, 512)));
    writer.write_file(u"large", times_of(1), content.size(), ranges, round_down(first_part, 512));
    checkpoint(writer);
    CHECK(code_of([&] { writer.find(u"large"); }) == "none");
  }
  if (have("ntfscat")) {
    const auto out = volume.directory / "cat";
    run_subprocess("/bin/sh", {"-c", "ntfscat -f \"$0\" d/large > \"$1\"", volume.path, out});
    const std::string text = posix::read_file(out, kGiB, ErrorKind::kInternal);
    const ByteView seen = as_bytes(text);
    REQUIRE(seen.size() == content.size());
    const auto valid = static_cast<std::ptrdiff_t>(round_down(first_part, 512));
    CHECK(std::equal(seen.begin(), seen.begin() + valid, content.begin()));
    CHECK(std::all_of(seen.begin() + valid, seen.end(),
                      [](std::byte b) { return b == std::byte{0}; }));
  }
  {
    VolumeWriter writer(*volume.image, volume.sink, {});
    writer.enter_directory(u"d");
    const auto existing = writer.find(u"large");
    REQUIRE(existing.has_value());
    CHECK(existing->size == content.size());
    CHECK(existing->valid_length == round_down(first_part, 512));
    CHECK(existing->times == times_of(1));
    REQUIRE(existing->ranges.size() == 1);
    Bytes padded = content;
    padded.resize(existing->ranges[0].length);
    volume.image->write(existing->ranges[0].offset, padded);
    writer.set_valid_length(u"large", content.size(), times_of(2));
    finish(writer);
  }
  VolumeReader reader(*volume.image);
  CHECK(reader.open(u"d/large")->times == times_of(2));
  CHECK(read_file(reader, *volume.image, u"d/large") == content);
  CHECK(complaints(volume.path) == "");
}

TEST_CASE("a removed file is gone, its clusters come back after the checkpoint") {
  Volume volume;
  VolumeWriter writer(*volume.image, volume.sink, {});
  writer.enter_directory(u"a");
  writer.enter_directory(u"b");
  writer.write_small(u"first", times_of(1), {});  // $MFT has grown
  const std::uint64_t before = writer.free_bytes();
  const auto ranges = writer.allocate(10 * kMiB);
  writer.write_file(u"half", times_of(1), 10 * kMiB, ranges, 0);
  writer.write_small(u"keep", times_of(2), content_of(20, 2));
  checkpoint(writer);
  writer.remove(u"half");
  CHECK_FALSE(writer.find(u"half").has_value());
  CHECK(writer.free_bytes() == before - 10 * kMiB);
  writer.write_small(u"next", times_of(3), content_of(9000, 3));
  checkpoint(writer);
  CHECK(writer.free_bytes() == before - 3 * 4096);
  writer.leave_directory(times_of(4));
  finish(writer);
  CHECK(complaints(volume.path) == "");
  VolumeReader reader(*volume.image);
  CHECK(reader.list(u"a/b").size() == 3);
  CHECK(reader.open(u"a")->is_directory());
  CHECK(read_file(reader, *volume.image, u"a/b/next") == content_of(9000, 3));
}

TEST_CASE("directories that exist are opened again, across checkpoints and runs") {
  Volume volume;
  for (int run = 0; run < 3; ++run) {
    VolumeWriter writer(*volume.image, volume.sink, {});
    for (int d = 0; d < 20; ++d) {
      writer.enter_directory(u"top");
      writer.enter_directory(numbered(u"d", d));
      for (int n = 0; n < 30; ++n) {
        writer.write_small(numbered(numbered(u"f", run) + u"-", n), times_of(n),
                           content_of(400, n));
      }
      if (d % 3 == 0) checkpoint(writer);
      writer.leave_directory(times_of(d));
      writer.leave_directory(times_of(77));
    }
    finish(writer);
    CHECK(complaints(volume.path) == "");
  }
  VolumeReader reader(*volume.image);
  for (int d = 0; d < 20; ++d) {
    CHECK(reader.list(numbered(u"top/d", d)).size() == 90);
    CHECK(reader.open(numbered(u"top/d", d))->times == times_of(d));
  }
}

TEST_CASE("misuse is an internal error, and after it nothing is written any more") {
  Volume volume;
  const auto fresh = [&] {
    return std::make_unique<VolumeWriter>(*volume.image, volume.sink, WriterOptions{});
  };
  SECTION("a name twice") {
    auto writer = fresh();
    writer->write_small(u"x", times_of(1), {});
    CHECK(code_of([&] { writer->write_small(u"x", times_of(1), {}); }) == "name-exists");
    CHECK(code_of([&] { writer->write_small(u"y", times_of(1), {}); }) == "volume-failed");
    CHECK(code_of([&] { writer->flush_metadata(); }) == "volume-failed");
  }
  SECTION("a file entered as a directory") {
    auto writer = fresh();
    writer->write_small(u"x", times_of(1), {});
    CHECK(code_of([&] { writer->enter_directory(u"x"); }) == "name-not-directory");
  }
  SECTION("the root left") {
    auto writer = fresh();
    CHECK(code_of([&] { writer->leave_directory(); }) == "internal");
  }
  SECTION("metadata flushed before data") {
    auto writer = fresh();
    writer->write_small(u"x", times_of(1), content_of(9000, 1));
    CHECK(code_of([&] { writer->flush_metadata(); }) == "internal");
  }
  SECTION("changes in the middle of a checkpoint") {
    auto writer = fresh();
    writer->flush_metadata();
    CHECK(code_of([&] { writer->allocate(1); }) == "internal");
  }
  SECTION("closed before it was finished") {
    auto writer = fresh();
    CHECK(code_of([&] { writer->close(); }) == "internal");
  }
}

TEST_CASE("a device that fails is an error of its own kind, and the volume stays as it was") {
  Volume volume;
  block::MemoryDevice device(volume.image->size());
  block::AlignedBuffer buffer(kMiB);
  for (std::uint64_t at = 0; at < device.size(); at += kMiB) {
    volume.image->read(at, buffer.span());
    device.write(at, buffer.span());
  }
  bool failing = false;
  device.before_write = [&](std::uint64_t, std::uint64_t, ByteView) {
    if (failing) throw Error(ErrorKind::kBusy, "device-vanished", "the disk is gone");
  };
  DirectSink sink(device);
  {
    VolumeWriter writer(device, sink, {});
    writer.write_small(u"first", times_of(1), content_of(100, 1));
    checkpoint(writer);
    writer.write_small(u"second", times_of(1), content_of(100, 1));
    failing = true;
    CHECK(code_of([&] { checkpoint(writer); }) == "device-vanished");
    CHECK(code_of([&] { writer.find(u"first"); }) == "volume-failed");
  }
  export_device(device, volume.directory / "after");
  CHECK(complaints(volume.directory / "after") == "");
  VolumeReader reader(device);
  CHECK(reader.open(u"first").has_value());
}

TEST_CASE("something that is no NTFS volume is not mounted") {
  block::MemoryDevice device(64 * kMiB);
  DirectSink sink(device);
  CHECK(code_of([&] { VolumeWriter(device, sink, {}); }) == "volume-mount");
  CHECK(code_of([&] { VolumeReader reader(device); }) == "volume-mount");
}

TEST_CASE("a volume that another system has mounted since is not written any more") {
  Volume volume;
  const std::uint64_t log = VolumeReader(*volume.image).open(u"$LogFile")->ranges[0].offset;
  Bytes start(4096, std::byte{0xFF});
  SECTION("with a log that is not closed") {
    std::ranges::copy(as_bytes("RSTR"), start.begin());
    const Bytes rest = ByteWriter().u16(30).u16(9).zeros(20).take();
    std::ranges::copy(rest, start.begin() + 4);
  }
  SECTION("with anything at all in the log") { start[4095] = std::byte{0}; }
  volume.image->write(log, start);
  CHECK(code_of([&] { VolumeWriter(*volume.image, volume.sink, {}); }) == "volume-mount");
}

TEST_CASE("clusters smaller than a cache block are refused") {
  if (!have("mkntfs")) return;
  TemporaryDirectory directory;
  auto image = make_image(directory / "image", 64 * kMiB, SectorSize(512));
  REQUIRE(run("mkntfs", {"-q", "-F", "-Q", "-c", "1024", directory / "image"}).exit_status == 0);
  DirectSink sink(*image);
  CHECK(code_of([&] { VolumeWriter(*image, sink, {}); }) == "cluster-size");
}

TEST_CASE("the checkers used here do notice one wrong bit of $Bitmap") {
  if (!have("ntfsresize")) return;
  Volume volume;
  ByteRange bitmap;
  ByteRange file;
  {
    VolumeWriter writer(*volume.image, volume.sink, {});
    writer.write_small(u"x", times_of(1), content_of(9000, 1));
    finish(writer);
    VolumeReader reader(*volume.image);
    bitmap = reader.open(u"$Bitmap")->ranges.at(0);
    file = reader.open(u"x")->ranges.at(0);
  }
  CHECK(complaints(volume.path) == "");
  Bytes block(4096);
  const std::uint64_t bit = file.offset / 4096;
  const std::uint64_t at = bitmap.offset + round_down(bit / 8, 4096);
  volume.image->read(at, block);
  block[bit / 8 % 4096] ^= std::byte{1} << (bit % 8);
  volume.image->write(at, block);
  CHECK(complaints(volume.path) != "");
}

TEST_CASE("two writers work in two threads at once") {
  // The library has process-wide state (logging); a sanitizer would see a race here.
  Volume one;
  Volume two;
  const auto fill = [](Volume& volume) {
    VolumeWriter writer(*volume.image, volume.sink, {});
    for (int n = 0; n < 3000; ++n) {
      writer.write_small(numbered(u"f", n), times_of(n), content_of(n % 3000, n));
      if (n % 500 == 0) checkpoint(writer);
    }
    finish(writer);
  };
  {
    std::jthread other([&] { fill(one); });
    fill(two);
  }
  CHECK(complaints(one.path) == "");
  CHECK(complaints(two.path) == "");
}

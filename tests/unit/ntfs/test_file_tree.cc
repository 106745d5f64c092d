#include <catch2/catch.hpp>

#include "drive/ntfs/file_tree.h"
#include "drive/ntfs/reparse.h"
#include "tests/support/mounted_ntfs.h"
#include "tests/support/scratch.h"
#include "tests/unit/ntfs/volume_fixture.h"

using namespace driveprep;
using namespace driveprep::ntfs;
using driveprep::ntfs::test::content_of;
using driveprep::ntfs::test::times_of;
using driveprep::test::error_of;
using driveprep::test::MountedNtfs;
using driveprep::test::NtfsVolume;

namespace {

Bytes read_all(FileTree& tree, std::u16string_view path, std::size_t step = 100'000) {
  const std::optional<Found> found = tree.find(path);
  REQUIRE(found.has_value());
  const auto file = tree.open(found->entry, found->path);
  REQUIRE(file->size() == found->entry.size);
  Bytes content(file->size());
  for (std::size_t at = 0; at < content.size(); at += step) {
    file->read(at, MutableByteView(content).subspan(at, std::min(step, content.size() - at)));
  }
  return content;
}

// Bytes of holes, found by walking the stretches.
std::uint64_t holes_of(FileTree& tree, std::u16string_view path) {
  const Entry entry = tree.find(path)->entry;
  const auto file = tree.open(entry, path);
  std::uint64_t holes = 0;
  for (std::uint64_t at = 0; at < file->size();) {
    const FileReader::Stretch stretch = file->stretch(at);
    REQUIRE(stretch.length > 0);
    if (stretch.hole) holes += stretch.length;
    at += stretch.length;
    REQUIRE(at <= file->size());
  }
  return holes;
}

std::vector<std::u16string> names_in(FileTree& tree, std::u16string_view path,
                                     FileTree::Metafiles metafiles = FileTree::Metafiles::kHide) {
  std::vector<std::u16string> names;
  for (ListedName& listed : tree.list(tree.find(path)->entry, metafiles)) {
    names.push_back(std::move(listed.name));
  }
  return names;
}

// Text that compresses well, different everywhere.
Bytes text_of(std::size_t size) {
  std::string text;
  for (unsigned line = 0; text.size() < size; ++line) {
    text += "line " + std::to_string(line) + " of a text that repeats itself a lot\n";
  }
  const ByteView bytes = as_bytes(text);
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)};
}

}  // namespace

TEST_CASE("files in their record and in clusters read as they were written") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(64 * kMiB);
  const std::vector<std::size_t> sizes = {0, 1, 600, 4096, 5000, 65'536, 65'537, 5'000'001};
  for (const std::size_t size : sizes) {
    volume.write("file" + std::to_string(size), content_of(size, size));
  }
  FileTree& tree = volume.open();
  for (const std::size_t size : sizes) {
    const std::string name = "file" + std::to_string(size);
    CAPTURE(name);
    CHECK(read_all(tree, std::u16string(name.begin(), name.end())) == content_of(size, size));
  }
  CHECK(read_all(tree, u"file5000001", 4 * kMiB) == content_of(5'000'001, 5'000'001));
  CHECK(tree.label() == "TEST");
  CHECK_FALSE(tree.marked_dirty());
}

TEST_CASE("compressed files read as they were written") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(64 * kMiB);
  volume.make_directory("packed");
  volume.set_attributes("packed", kAttributeCompressed);
  volume.write("packed/text", text_of(3'000'001));
  volume.write("packed/noise", content_of(1'000'003, 1));
  volume.write("packed/tiny", text_of(200));
  volume.write("packed/holes", text_of(100'000));
  volume.write("packed/holes", text_of(100'000), 2'000'000);
  volume.truncate("packed/holes", 4'000'000);
  FileTree& tree = volume.open();
  const Entry text = tree.find(u"packed/text")->entry;
  CHECK((text.attributes & kAttributeCompressed) != 0);
  CHECK(text.allocated < text.size / 2);
  CHECK(read_all(tree, u"packed/text") == text_of(3'000'001));
  CHECK(read_all(tree, u"packed/text", 12'345) == text_of(3'000'001));
  CHECK(read_all(tree, u"packed/noise") == content_of(1'000'003, 1));
  CHECK(read_all(tree, u"packed/tiny") == text_of(200));
  Bytes holes(4'000'000);
  const Bytes part = text_of(100'000);
  std::ranges::copy(part, holes.begin());
  std::ranges::copy(part, holes.begin() + 2'000'000);
  CHECK(read_all(tree, u"packed/holes") == holes);
}

TEST_CASE("holes of a sparse file are told, and read as zeros") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(64 * kMiB);
  volume.write("sparse", content_of(100'000, 1), 10'000'000);
  volume.truncate("sparse", 200'000'000);
  FileTree& tree = volume.open();
  Bytes expected(200'000'000);
  std::ranges::copy(content_of(100'000, 1), expected.begin() + 10'000'000);
  CHECK(read_all(tree, u"sparse", 7'000'000) == expected);
  CHECK(tree.find(u"sparse")->entry.allocated < kMiB);
  CHECK(holes_of(tree, u"sparse") > 199'800'000);
}

TEST_CASE("what lies behind the valid length reads as zeros") {
  block::MemoryDevice device(64 * kMiB);
  format_volume({64 * kMiB, SectorSize(512), Lba{2048}, "VALID", {}}).copy_to(device);
  const Bytes content = content_of(300'000, 5);
  {
    ntfs::DirectSink sink(device);
    VolumeWriter writer(device, sink, {});
    const std::vector<ByteRange> ranges = writer.allocate(content.size());
    REQUIRE(ranges.size() == 1);
    Bytes whole = content;
    whole.resize(ranges[0].length);
    device.write(ranges[0].offset, whole);
    writer.write_file(u"short", times_of(1), content.size(), ranges, 123'457);
    ntfs::test::finish(writer);
  }
  FileTree tree(device);
  Bytes expected = content;
  std::fill(expected.begin() + 123'457, expected.end(), std::byte{0});
  CHECK(read_all(tree, u"short", 50'000) == expected);
  CHECK(holes_of(tree, u"short") == 300'000 - 123'457);
  CHECK(tree.find(u"short")->entry.times == times_of(1));
}

TEST_CASE("a file in a thousand fragments, described in several records, reads as it was written") {
  block::MemoryDevice device(128 * kMiB);
  format_volume({128 * kMiB, SectorSize(512), Lba{2048}, "PIECES", {}}).copy_to(device);
  const Bytes content = content_of(1100 * 4096 - 99, 77);
  {
    ntfs::DirectSink sink(device);
    VolumeWriter writer(device, sink, {});
    const std::vector<ByteRange> room = writer.allocate(2200 * 4096);
    REQUIRE(room.size() == 1);
    Bytes whole = content;
    whole.resize(1100 * 4096);
    std::vector<ByteRange> ranges;
    for (std::uint64_t i = 0; i < 1100; ++i) {
      ranges.push_back({room[0].offset + 2 * i * 4096, 4096});
      device.write(ranges.back().offset, ByteView(whole).subspan(i * 4096, 4096));
    }
    writer.write_file(u"fragments", times_of(1), content.size(), ranges, content.size());
    ntfs::test::finish(writer);
  }
  FileTree tree(device);
  CHECK(read_all(tree, u"fragments") == content);
  CHECK(read_all(tree, u"fragments", 4 * kMiB) == content);
  CHECK(holes_of(tree, u"fragments") == 0);
}

TEST_CASE("a path is taken by exact case, else by the only name that differs in case alone") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(32 * kMiB);
  volume.make_directory("Dir");
  volume.make_directory("Dir/\xC3\x84pfel");  // Ä
  volume.write("Dir/\xC3\x84pfel/one", content_of(10, 1));
  volume.write("Dir/Twice", content_of(10, 2));
  volume.write("Dir/TWICE", content_of(10, 3));
  volume.write("Dir/odd: *?\"<>|\\name. ", content_of(10, 4));
  FileTree& tree = volume.open();
  CHECK(tree.find(u"Dir/\u00C4pfel/one")->path == u"Dir/\u00C4pfel/one");
  CHECK(tree.find(u"\\dIR\\\u00E4PFEL\\ONE")->path == u"Dir/\u00C4pfel/one");
  CHECK(tree.find(u"./Dir//\u00C4pfel/./one/")->path == u"Dir/\u00C4pfel/one");
  CHECK(read_all(tree, u"Dir/Twice") == content_of(10, 2));
  CHECK(read_all(tree, u"Dir/TWICE") == content_of(10, 3));
  CHECK(error_of([&] { tree.find(u"Dir/twice"); }) == "usage/path-ambiguous");
  CHECK(tree.find(u"")->entry.is_directory());
  CHECK(tree.find(u"/")->path.empty());
  for (const char16_t* absent :
       {u"x", u"Dir/x", u"Dir/Twice/x", u"..", u"Dir/..", u"Dir/\u00C4pfel/one/two/three"}) {
    CHECK_FALSE(tree.find(absent).has_value());
  }
  CHECK_FALSE(tree.find(std::u16string(300, u'x')).has_value());
  CHECK(names_in(tree, u"dir") ==
        std::vector<std::u16string>{u"odd: *?\"<>|\\name. ", u"TWICE", u"Twice", u"\u00C4pfel"});
}

TEST_CASE("a name with half a surrogate pair is a name like any other") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(32 * kMiB);
  volume.write("a\xED\xA0\x80z", content_of(10, 1));  // U+D800 in the manner of WTF-8
  FileTree& tree = volume.open();
  const std::u16string name = {u'a', 0xD800, u'z'};
  REQUIRE(names_in(tree, u"") == std::vector{name});
  CHECK(read_all(tree, name) == content_of(10, 1));
}

TEST_CASE("listings are complete and sorted, however large the directory") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(64 * kMiB);
  volume.make_directory("many");
  std::vector<std::u16string> expected;
  for (int i = 0; i < 5000; ++i) {
    const std::string name = "name " + std::to_string(10'000 + i);
    volume.write("many/" + name, as_bytes(name));
    expected.emplace_back(name.begin(), name.end());
  }
  FileTree& tree = volume.open();
  CHECK(names_in(tree, u"many") == expected);
  const std::vector<ListedName> listed = tree.list(tree.find(u"many")->entry);
  std::uint64_t bytes = 0;
  for (const ListedName& name : listed) bytes += tree.entry(name).size;
  CHECK(bytes == 5000 * 10);
}

TEST_CASE("hidden and system files are listed, those of the file system only on demand") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(32 * kMiB);
  volume.write("hidden", content_of(10, 1));
  volume.set_attributes("hidden", kAttributeHidden | kAttributeSystem);
  volume.write("$own", content_of(10, 2));
  FileTree& tree = volume.open();
  CHECK(names_in(tree, u"") == std::vector<std::u16string>{u"$own", u"hidden"});
  CHECK((tree.find(u"hidden")->entry.attributes & kAttributeHidden) != 0);
  const auto all = names_in(tree, u"", FileTree::Metafiles::kShow);
  for (const char16_t* name : {u"$MFT", u"$MFTMirr", u"$LogFile", u"$Bitmap", u"$Boot", u"$Secure",
                               u"$UpCase", u"$Extend", u"$own", u"hidden"}) {
    CHECK(std::ranges::count(all, name) == 1);
  }
  CHECK(read_all(tree, u"$UpCase").size() == 131'072);
}

TEST_CASE("the facts of an entry are those of its record") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(32 * kMiB);
  volume.make_directory("d");
  volume.write("d/file", content_of(10'000, 1));
  std::filesystem::create_hard_link(volume / "d/file", volume / "other name");
  volume.set_times("d/file", {1'500'000'000, 123'456'700}, {1'600'000'000, 987'654'300});
  volume.set_times("d", {1'400'000'000, 0}, {1'300'000'000, 100});
  FileTree& tree = volume.open();
  const Entry file = tree.find(u"d/file")->entry;
  CHECK(file.name == u"file");
  CHECK(file.kind == EntryKind::kFile);
  CHECK(file.size == 10'000);
  CHECK(file.allocated == 12'288);
  CHECK(file.links == 2);
  CHECK(file.times.access == FileTime::from_timespec({1'500'000'000, 123'456'700}));
  CHECK(file.times.modification == FileTime::from_timespec({1'600'000'000, 987'654'300}));
  const Entry other = tree.find(u"other name")->entry;
  CHECK(other.record == file.record);
  CHECK(read_all(tree, u"other name") == content_of(10'000, 1));
  const Entry directory = tree.find(u"d")->entry;
  CHECK(directory.is_directory());
  CHECK(directory.links == 1);
  CHECK(directory.size == 0);
  CHECK(directory.times.modification == FileTime::from_timespec({1'300'000'000, 100}));
}

TEST_CASE("reparse points are named and never read or gone through") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(32 * kMiB);
  struct Case {
    const char* name;
    std::uint32_t tag;
    bool directory;
    EntryKind kind;
    const char* said;
  };
  const std::vector<Case> cases = {
      {"wof", kReparseOverlayCompressed, false, EntryKind::kReparsePoint,
       "compressed for its system"},
      {"dedup", kReparseDeduplicated, false, EntryKind::kReparsePoint, "deduplicated"},
      {"cloud", 0x9000601A, false, EntryKind::kReparsePoint, "OneDrive"},
      {"unknown", 0x80001234, false, EntryKind::kReparsePoint, "unknown kind 0x80001234"},
      {"wsl", kReparseLinuxSymbolicLink, false, EntryKind::kSymbolicLink, "symbolic link of WSL"},
      {"junction", kReparseMountPoint, true, EntryKind::kJunction, "junction"},
      {"link", kReparseSymbolicLink, false, EntryKind::kSymbolicLink, "symbolic link"},
  };
  // Two empty names behind their offsets and lengths, and flags; WSL has a version and one name.
  const Bytes names(16);
  const Bytes version = {std::byte{2}, {}, {}, {}, std::byte{'x'}};
  for (const Case& c : cases) {
    if (c.directory) {
      volume.make_directory(c.name);
    } else {
      volume.write(c.name, content_of(c.tag == kReparseLinuxSymbolicLink ? 0 : 5000, 1));
    }
    CAPTURE(c.name);
    volume.set_reparse_point(c.name, c.tag, c.tag == kReparseLinuxSymbolicLink ? version : names);
  }
  volume.make_directory("onedrive");
  volume.write("onedrive/here", content_of(10, 9));
  volume.set_reparse_point("onedrive", 0x9000601A, names);

  FileTree& tree = volume.open();
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const std::string name = c.name;
    const std::u16string path(name.begin(), name.end());
    const Entry entry = tree.find(path)->entry;
    CHECK(entry.kind == c.kind);
    CHECK(entry.reparse_tag == c.tag);
    CHECK_THAT(describe_reparse_tag(c.tag), Catch::Contains(c.said));
    CHECK(error_of([&] { tree.open(entry, path); }) == "refused/file-reparse-point");
  }
  CHECK(error_of([&] { tree.find(u"junction/x"); }) == "refused/file-reparse-point");
  const Entry onedrive = tree.find(u"onedrive")->entry;
  CHECK(onedrive.is_directory());
  CHECK(onedrive.reparse_tag == 0x9000601A);
  CHECK(read_all(tree, u"onedrive/here") == content_of(10, 9));
}

TEST_CASE("files encrypted by Windows and directories are refused as content") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(32 * kMiB);
  volume.make_directory("d");
  volume.write("secret", content_of(10'000, 1));
  FileTree& tree = volume.open();
  const Entry plain = tree.find(u"secret")->entry;
  CHECK_FALSE(plain.encrypted());
  CHECK(error_of([&] { tree.open(tree.find(u"d")->entry, u"d"); }) == "usage/file-is-directory");

  // The attribute in $STANDARD_INFORMATION, which comes first in a record.
  const auto image = block::FileDevice(posix::open(volume.image(), O_RDWR, ErrorKind::kWrite),
                                       "image", 32 * kMiB, SectorSize(512));
  VolumeReader reader(image);
  const std::uint64_t record = reader.open(u"$MFT")->ranges[0].offset + plain.record * 1024;
  const UniqueFd fd = posix::open(volume.image(), O_RDWR, ErrorKind::kWrite);
  const std::array attributes = {std::byte{0x20}, std::byte{0x40}};
  posix::pwrite_all(fd.get(), record + 0x38 + 0x18 + 0x20, attributes, "image", ErrorKind::kWrite);
  posix::fsync(fd.get(), "image", ErrorKind::kWrite);
  FileTree again(volume.device());
  const Entry secret = again.find(u"secret")->entry;
  CHECK(secret.encrypted());
  CHECK(error_of([&] { again.open(secret, u"secret"); }) == "refused/file-encrypted");
}

TEST_CASE("another file system is named") {
  for (const auto& [at, text, said] :
       std::vector<std::tuple<std::size_t, std::string, std::string>>{
           {3, "EXFAT   ", "exFAT"},
           {82, "FAT32   ", "FAT32"},
           {54, "FAT16   ", "FAT"},
           {3, "-FVE-FS-", "not decrypted"},
           {3, "ReFS", "ReFS"},
           {3, "", "no file system"}}) {
    block::MemoryDevice device(kMiB);
    Bytes sector(512);
    std::ranges::copy(as_bytes(text), sector.begin() + static_cast<std::ptrdiff_t>(at));
    device.write(0, sector);
    CHECK_THROWS_WITH(FileTree(device), Catch::Contains(said));
    CHECK(error_of([&] { FileTree tree(device); }) == "refused/file-system-unsupported");
  }
}

TEST_CASE("a damaged record is told for its file, the others are read") {
  block::MemoryDevice device(64 * kMiB);
  format_volume({64 * kMiB, SectorSize(512), Lba{2048}, "DAMAGED", {}}).copy_to(device);
  {
    ntfs::DirectSink sink(device);
    VolumeWriter writer(device, sink, {});
    writer.write_small(u"one", times_of(1), content_of(100, 1));
    writer.write_small(u"two", times_of(2), content_of(10'000, 2));
    ntfs::test::finish(writer);
  }
  std::uint64_t record = 0;
  {
    VolumeReader reader(device);
    record = reader.open(u"$MFT")->ranges[0].offset + reader.open(u"two")->record * 1024;
  }
  device.write(record, Bytes(1024));
  FileTree tree(device);
  CHECK(names_in(tree, u"") == std::vector<std::u16string>{u"one", u"two"});
  CHECK(error_of([&] { tree.find(u"two"); }) == "verification/volume-damaged");
  CHECK(read_all(tree, u"one") == content_of(100, 1));
}

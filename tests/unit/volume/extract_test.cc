#include <sys/resource.h>

#include <catch2/catch.hpp>

#include "agent/volume/extract.h"
#include "drive/ntfs/reparse.h"
#include "tests/support/mounted_ntfs.h"
#include "tests/unit/volume/own_volume.h"

using namespace driveprep;
using namespace driveprep::volume;
using driveprep::ntfs::test::content_of;
using driveprep::ntfs::test::times_of;
using driveprep::test::error_of;
using driveprep::test::MountedNtfs;
using driveprep::test::NtfsVolume;
using driveprep::test::ScratchDirectory;
using driveprep::volume::test::OwnVolume;

namespace {

namespace fs = std::filesystem;

Bytes content_at(const fs::path& path) {
  const std::string text = posix::read_file(path, kGiB, ErrorKind::kInternal);
  const ByteView bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

ExtractRequest to(const fs::path& output, const std::string& path = "") {
  ExtractRequest request;
  request.path = path;
  request.output = output;
  return request;
}

std::vector<std::string> problems_of(const ExtractReport& report) {
  std::vector<std::string> problems;
  for (const ExtractProblem& problem : report.problems) {
    problems.push_back(problem.path + " " + problem.code);
  }
  return problems;
}

ntfs::FileTimes times_at(const fs::path& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return {{}, FileTime::from_timespec(status.st_mtim), FileTime::from_timespec(status.st_atim)};
}

}  // namespace

TEST_CASE("everything is extracted with its content and its times, directories too") {
  OwnVolume own;
  const std::map<std::string, Bytes> files = {{"a/b/small", content_of(100, 1)},
                                              {"a/large", content_of(20'000'001, 2)},
                                              {"a/empty", {}},
                                              {"top", content_of(50'000, 3)}};
  own.write(files);
  ntfs::FileTree tree(own.device);
  const ScratchDirectory scratch;
  std::vector<ExtractProgress> told;
  ExtractRequest request = to(scratch / "out");
  request.on_progress = [&](const ExtractProgress& progress) { told.push_back(progress); };
  const ExtractReport report = extract(tree, request);
  CHECK(report.ok());
  CHECK(report.files == 4);
  CHECK(report.directories == 2);
  CHECK(report.bytes == 20'050'101);
  CHECK_FALSE(report.manifest.has_value());
  REQUIRE_FALSE(told.empty());
  CHECK(told.back().files == 4);
  CHECK(told.back().bytes == report.bytes);
  for (const auto& [path, content] : files) {
    CAPTURE(path);
    // Before the content is read, which would be an access.
    CHECK(times_at(scratch / ("out/" + path)).modification == times_of(1).modification);
    CHECK(times_at(scratch / ("out/" + path)).access == times_of(1).access);
    CHECK(content_at(scratch / ("out/" + path)) == content);
  }
  CHECK(times_at(scratch / "out/a").modification == times_of(2).modification);
  CHECK(times_at(scratch / "out/a/b").modification == times_of(2).modification);
}

TEST_CASE("a part is extracted under its own name") {
  OwnVolume own;
  own.write(
      {{"a/b/c", content_of(100, 1)}, {"a/b/d", content_of(100, 2)}, {"a/e", content_of(9, 3)}});
  ntfs::FileTree tree(own.device);
  const ScratchDirectory scratch;
  CHECK(extract(tree, to(scratch / "one", "A\\B")).files == 2);
  CHECK(content_at(scratch / "one/b/c") == content_of(100, 1));
  CHECK_FALSE(fs::exists(scratch / "one/a"));
  CHECK_FALSE(fs::exists(scratch / "one/e"));
  CHECK(extract(tree, to(scratch / "two", "a/b/d")).files == 1);
  CHECK(content_at(scratch / "two/d") == content_of(100, 2));
  CHECK(error_of([&] { extract(tree, to(scratch / "three", "none")); }) == "usage/no-such-file");
  CHECK_FALSE(fs::exists(scratch / "three"));
}

TEST_CASE("existing files are told and left, or replaced when that is asked for") {
  OwnVolume own;
  own.write({{"a/x", content_of(100, 1)}, {"a/y", content_of(100, 2)}});
  ntfs::FileTree tree(own.device);
  const ScratchDirectory scratch;
  fs::create_directory(scratch / "a");
  scratch.file("a/x", as_bytes("mine"));
  const ExtractReport refused = extract(tree, to(scratch.path()));
  CHECK(problems_of(refused) == std::vector<std::string>{"a/x output-exists"});
  CHECK(refused.failed == 1);
  CHECK(refused.files == 1);
  CHECK(content_at(scratch / "a/x").size() == 4);
  ExtractRequest request = to(scratch.path());
  request.existing = Existing::kReplace;
  CHECK(extract(tree, request).ok());
  CHECK(content_at(scratch / "a/x") == content_of(100, 1));
}

TEST_CASE("links in the output lead nowhere") {
  OwnVolume own;
  own.write({{"a/x", content_of(100, 1)}, {"b/y", content_of(100, 2)}});
  ntfs::FileTree tree(own.device);
  const ScratchDirectory scratch;
  const ScratchDirectory outside;
  fs::create_symlink(outside.path(), scratch / "a");
  const ExtractReport report = extract(tree, to(scratch.path()));
  CHECK(problems_of(report) == std::vector<std::string>{"a output-not-directory"});
  CHECK(fs::is_empty(outside.path()));
  CHECK(content_at(scratch / "b/y") == content_of(100, 2));
}

TEST_CASE("a file that cannot be read is told, and the rest goes on") {
  OwnVolume own;
  own.write({{"d/1", content_of(5'000'000, 1)},
             {"d/2", content_of(5'000'000, 2)},
             {"d/3", content_of(100, 3)}});
  std::uint64_t bad = 0;
  {
    ntfs::VolumeReader reader(own.device);
    bad = reader.open(u"d/2")->ranges[0].offset + 4'500'000;
  }
  struct Broken : block::ReadableSlice {
    using ReadableSlice::ReadableSlice;
    void read(std::uint64_t offset, MutableByteView out) const override {
      if (ByteRange{offset, out.size()}.contains(bad)) {
        throw Error(ErrorKind::kWrite, "read-failed", "medium error");
      }
      ReadableSlice::read(offset, out);
    }
    std::uint64_t bad = 0;
  };
  Broken broken(own.device, {0, OwnVolume::kSize}, "broken");
  broken.bad = bad;
  ntfs::FileTree tree(broken);
  const ScratchDirectory scratch;
  const ExtractReport report = extract(tree, to(scratch.path()));
  CHECK(problems_of(report) == std::vector<std::string>{"d/2 read-failed"});
  CHECK_FALSE(report.ok());
  CHECK(report.files == 2);
  // Nothing half-written is left.
  CHECK(std::distance(fs::directory_iterator(scratch / "d"), {}) == 2);
  CHECK(content_at(scratch / "d/1") == content_of(5'000'000, 1));
}

TEST_CASE("a stop leaves whole files only") {
  OwnVolume own;
  own.write({{"1", content_of(20'000'000, 1)}, {"2", content_of(20'000'000, 2)}});
  ntfs::FileTree tree(own.device);
  const ScratchDirectory scratch;
  std::atomic<bool> stop = false;
  ExtractRequest request = to(scratch.path());
  request.stop = &stop;
  request.on_progress = [&](const ExtractProgress&) { stop = true; };
  const ExtractReport report = extract(tree, request);
  CHECK(report.stopped);
  CHECK_FALSE(report.ok());
  for (const auto& entry : fs::directory_iterator(scratch.path())) {
    CHECK(entry.path().filename().string().size() == 1);
    CHECK(entry.file_size() == 20'000'000);
  }
}

TEST_CASE("an output that cannot be written any more ends the extraction") {
  OwnVolume own;
  own.write({{"1", content_of(100, 1)}, {"2", content_of(3'000'000, 2)}});
  ntfs::FileTree tree(own.device);
  if (::geteuid() != 0) {
    WARN("skipped: mounting a small tmpfs needs root");
    return;
  }
  const ScratchDirectory scratch;
  if (run_subprocess("/bin/mount", {"-t", "tmpfs", "-o", "size=1m", "tmpfs", scratch.path()})
          .exit_status != 0) {
    WARN("skipped: a tmpfs cannot be mounted here");
    return;
  }
  CHECK(error_of([&] { extract(tree, to(scratch / "out")); }) == "write/output-write");
  CHECK(fs::exists(scratch / "out/1"));
  CHECK(std::distance(fs::directory_iterator(scratch / "out"), {}) == 1);
  CHECK(run_subprocess("/bin/umount", {scratch.path()}).exit_status == 0);
}

TEST_CASE("all that Windows writes comes out, links are skipped and placeholders told") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(64 * kMiB);
  volume.make_directory("packed");
  volume.set_attributes("packed", ntfs::kAttributeCompressed);
  std::string text;
  while (text.size() < 700'000) text += "a line that is like all the others\n";
  volume.write("packed/text", as_bytes(text));
  volume.write("sparse", content_of(10'000, 1), 30'000'000);
  volume.write("odd: *?\"<>|\\ name. ", content_of(10, 2));
  volume.write("half \xED\xA0\x80", content_of(10, 3));
  volume.write("Case", content_of(10, 4));
  volume.write("CASE", content_of(10, 5));
  fs::create_hard_link(volume / "Case", volume / "packed/other name");
  const Bytes names(16);
  volume.write("link", {});
  volume.set_reparse_point("link", ntfs::kReparseSymbolicLink, names);
  volume.make_directory("junction");
  volume.set_reparse_point("junction", ntfs::kReparseMountPoint, names);
  volume.write("compact", content_of(10, 6));
  volume.set_reparse_point("compact", ntfs::kReparseOverlayCompressed, names);
  volume.set_times("packed", {1'400'000'000, 0}, {1'300'000'000, 100});

  const ScratchDirectory scratch;
  const ExtractReport report = extract(volume.open(), to(scratch.path()));
  CHECK(problems_of(report) == std::vector<std::string>{"compact file-reparse-point",
                                                        "junction file-reparse-point",
                                                        "link file-reparse-point"});
  CHECK(report.skipped == 2);
  CHECK(report.failed == 1);
  CHECK(content_at(scratch / "packed/text") == volume::test::bytes_of(text));
  CHECK(content_at(scratch / "odd: *?\"<>|\\ name. ") == content_of(10, 2));
  CHECK(content_at(scratch / "half \xED\xA0\x80") == content_of(10, 3));
  CHECK(content_at(scratch / "Case") == content_of(10, 4));
  CHECK(content_at(scratch / "CASE") == content_of(10, 5));
  CHECK(content_at(scratch / "packed/other name") == content_of(10, 4));
  Bytes sparse(30'010'000);
  std::ranges::copy(content_of(10'000, 1), sparse.begin() + 30'000'000);
  CHECK(content_at(scratch / "sparse") == sparse);
  struct stat status {};
  REQUIRE(::stat((scratch / "sparse").c_str(), &status) == 0);
  CHECK(status.st_blocks * 512 < 200'000);
  CHECK_FALSE(fs::exists(fs::symlink_status(scratch / "link")));
  CHECK_FALSE(fs::exists(fs::symlink_status(scratch / "junction")));
  CHECK(times_at(scratch / "packed").modification == FileTime::from_timespec({1'300'000'000, 100}));
}

TEST_CASE("a name that leads out of the directory is refused, the rest goes on") {
  OwnVolume own;
  own.write({{"d/inside", content_of(10, 1)}, {"xy", content_of(10, 2)}, {"z", content_of(10, 3)}});
  // No Windows writes such a name; the record and the index entry are changed by hand.
  const auto rename = [&](std::u16string_view from, std::u16string_view to_name) {
    const Bytes old = utf16le(from);
    const Bytes fresh = utf16le(to_name);
    std::size_t count = 0;
    Bytes part(kMiB);
    for (std::uint64_t at = 0; at < 64 * kMiB; at += part.size()) {
      own.device.read(at, part);
      for (auto found = part.begin();
           (found = std::search(found, part.end(), old.begin(), old.end())) != part.end();
           ++found) {
        // A name of this length stands behind it in a $FILE_NAME.
        if (found[-2] != static_cast<std::byte>(from.size())) continue;
        std::ranges::copy(fresh, found);
        ++count;
      }
      own.device.write(at, part);
    }
    REQUIRE(count >= 2);
  };
  rename(u"xy", u"..");
  rename(u"d", u"/");
  ntfs::FileTree tree(own.device);
  const ScratchDirectory scratch;
  const ExtractReport report = extract(tree, to(scratch / "a/b"));
  CHECK(report.failed + report.files >= 2);
  CHECK(content_at(scratch / "a/b/z") == content_of(10, 3));
  CHECK(std::distance(fs::directory_iterator(scratch.path()), {}) == 1);
  CHECK(std::distance(fs::directory_iterator(scratch / "a"), {}) == 1);
  CHECK(std::distance(fs::directory_iterator(scratch / "a/b"), {}) == 1);
  CHECK(problems_of(report).front() == "/ output-name");
}

TEST_CASE("five thousand entries and four hundred levels come out with few descriptors") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(64 * kMiB);
  volume.make_directory("many");
  for (int i = 0; i < 5000; ++i) {
    const std::string name = std::to_string(i);
    volume.write("many/" + name, as_bytes(name));
  }
  UniqueFd at = posix::open(volume / "", O_RDONLY | O_DIRECTORY, ErrorKind::kWrite);
  for (int level = 0; level < 400; ++level) {
    REQUIRE(::mkdirat(at.get(), "d", 0755) == 0);
    at = UniqueFd(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  posix::write_all(UniqueFd(::openat(at.get(), "end", O_WRONLY | O_CREAT | O_CLOEXEC, 0644)).get(),
                   as_bytes("here"), "end", ErrorKind::kWrite);
  at = UniqueFd();
  ntfs::FileTree& tree = volume.open();

  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit few = before;
  few.rlim_cur = 256;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  const ScratchDirectory scratch;
  const ExtractReport report = extract(tree, to(scratch.path()));
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(report.ok());
  CHECK(report.files == 5001);
  CHECK(report.directories == 401);
  for (int i = 0; i < 5000; i += 499) {
    const std::string name = std::to_string(i);
    CHECK(content_at(scratch / ("many/" + name)) == volume::test::bytes_of(name));
  }
  std::string deep;
  for (int level = 0; level < 400; ++level) deep += "d/";
  CHECK(content_at(scratch / (deep + "end")).size() == 4);
}

#include <catch2/catch.hpp>

#include "agent/volume/output_file.h"
#include "agent/volume/output_tree.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::volume;
using driveprep::test::error_of;
using driveprep::test::pattern;
using driveprep::test::ScratchDirectory;

namespace {

const ntfs::FileTimes kTimes = {
    {133'000'000'000'000'000}, {133'100'000'000'000'001}, {133'200'000'000'000'002}};

std::size_t entries_in(const std::filesystem::path& directory) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(directory), {}));
}

std::string content_of_file(const std::filesystem::path& path) {
  return posix::read_file(path, kGiB, ErrorKind::kInternal);
}

void put(OutputTree& tree, const std::string& name, ByteView content,
         Existing existing = Existing::kRefuse) {
  OutputFile file(tree.enter({}), name, existing);
  file.write(0, content);
  file.commit(content.size(), kTimes);
}

}  // namespace

TEST_CASE("an output file has its content, its times and no blocks for zeros") {
  const ScratchDirectory scratch;
  OutputTree tree(scratch / "new/deep");
  Bytes content(10'000'000);
  std::ranges::copy(pattern(100'000), content.begin() + 3'000'000);
  {
    OutputFile file(tree.enter({}), "sparse", Existing::kRefuse);
    for (std::size_t at = 0; at < content.size(); at += 777'777) {
      file.write(
          at, ByteView(content).subspan(at, std::min<std::size_t>(777'777, content.size() - at)));
    }
    CHECK_FALSE(std::filesystem::exists(scratch / "new/deep/sparse"));
    file.commit(content.size(), kTimes);
  }
  struct stat status {};
  REQUIRE(::stat((scratch / "new/deep/sparse").c_str(), &status) == 0);
  CHECK(status.st_blocks * 512 < 400'000);
  CHECK(FileTime::from_timespec(status.st_mtim) == kTimes.modification);
  CHECK(FileTime::from_timespec(status.st_atim) == kTimes.access);
  CHECK(content_of_file(scratch / "new/deep/sparse") == as_text(content));
}

TEST_CASE("what is not committed leaves nothing") {
  const ScratchDirectory scratch;
  OutputTree tree(scratch.path());
  {
    OutputFile file(tree.enter({}), "x", Existing::kRefuse);
    file.write(0, pattern(10));
    CHECK(entries_in(scratch.path()) == 1);
  }
  CHECK(entries_in(scratch.path()) == 0);
}

TEST_CASE("an existing file is replaced only when that is asked for, and whole") {
  const ScratchDirectory scratch;
  OutputTree tree(scratch.path());
  scratch.file("there", as_bytes("old"));
  CHECK(error_of([&] { put(tree, "there", as_bytes("new")); }) == "refused/output-exists");
  CHECK(content_of_file(scratch / "there") == "old");
  put(tree, "there", as_bytes("new"), Existing::kReplace);
  CHECK(content_of_file(scratch / "there") == "new");
  // A link is replaced, what it points to is not.
  scratch.file("far", as_bytes("far"));
  std::filesystem::create_symlink("far", scratch / "link");
  CHECK(error_of([&] { put(tree, "link", as_bytes("new")); }) == "refused/output-exists");
  put(tree, "link", as_bytes("new"), Existing::kReplace);
  CHECK(std::filesystem::is_regular_file(std::filesystem::symlink_status(scratch / "link")));
  CHECK(content_of_file(scratch / "far") == "far");
  std::filesystem::create_directory(scratch / "directory");
  CHECK(error_of([&] { put(tree, "directory", as_bytes("new"), Existing::kReplace); }) ==
        "refused/output-exists");
}

TEST_CASE("a file that comes while ours is written is not overwritten") {
  const ScratchDirectory scratch;
  OutputTree tree(scratch.path());
  OutputFile file(tree.enter({}), "x", Existing::kRefuse);
  scratch.file("x", as_bytes("theirs"));
  CHECK(error_of([&] { file.commit(0, kTimes); }) == "refused/output-exists");
  CHECK(content_of_file(scratch / "x") == "theirs");
}

TEST_CASE("a link in the way of a directory is not followed") {
  const ScratchDirectory scratch;
  const ScratchDirectory outside;
  OutputTree tree(scratch.path());
  std::filesystem::create_symlink(outside.path(), scratch / "d");
  scratch.file("f", as_bytes("file"));
  const std::vector<std::string> through_link = {"d"};
  const std::vector<std::string> below_link = {"d", "e"};
  const std::vector<std::string> through_file = {"f"};
  for (const auto& path : {through_link, below_link, through_file}) {
    CHECK(error_of([&] { tree.enter(path); }) == "refused/output-not-directory");
  }
  CHECK(entries_in(outside.path()) == 0);
  const std::vector<std::string> fine = {"g", "h"};
  tree.enter(fine);
  CHECK(std::filesystem::is_directory(scratch / "g/h"));
}

TEST_CASE("names that Linux cannot have, and an output that cannot be written, are two errors") {
  const ScratchDirectory scratch;
  OutputTree tree(scratch.path());
  const std::string long_name(256, 'x');
  CHECK(error_of([&] { put(tree, long_name, {}); }) == "refused/output-name");
  CHECK(error_of([&] { tree.enter(std::vector{long_name}); }) == "refused/output-name");
  CHECK(error_of([] { output_error("write x", EFBIG); }) == "refused/output-file-size");
  CHECK(error_of([] { output_error("write x", ENOSPC); }) == "write/output-write");
  CHECK(error_of([] { OutputTree("/proc/nothing/here"); }) == "write/output-write");
  try {
    output_error("write x", ENOSPC);
  } catch (const Error& error) {
    CHECK(is_output_failure(error));
  }
}

TEST_CASE("directories of any depth need few descriptors") {
  const ScratchDirectory scratch;
  OutputTree tree(scratch.path());
  std::vector<std::string> path(3000, "d");
  const int deep = tree.enter(path);
  CHECK(deep < 200);
  path.resize(1500);
  path.emplace_back("other");
  tree.enter(path);
  path.resize(2);
  path.emplace_back("third");
  tree.enter(path);
  CHECK(std::filesystem::is_directory(scratch / "d/d/third"));
  path.resize(1500, "d");
  path[2] = "d";
  path.emplace_back("other");
  const int again = tree.enter(path);
  CHECK(::faccessat(again, "../d/d", F_OK, 0) == 0);
}

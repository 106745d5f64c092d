#include <catch2/catch.hpp>

#include "agent/volume/file_names.h"
#include "agent/volume/list_files.h"
#include "tests/support/mounted_ntfs.h"
#include "tests/unit/volume/own_volume.h"

using namespace driveprep;
using namespace driveprep::volume;
using driveprep::ntfs::test::content_of;
using driveprep::test::error_of;
using driveprep::test::MountedNtfs;
using driveprep::test::NtfsVolume;
using driveprep::volume::test::OwnVolume;

namespace {

struct Listed {
  std::vector<std::string> paths;  // a directory with '/' at its end
  std::vector<std::string> problems;
  ListTotals totals;
};

Listed list(ntfs::FileTree& tree, std::string_view path, bool recursive = true) {
  Listed listed;
  ListRequest request;
  request.path = path;
  request.recursive = recursive;
  request.on_entry = [&](const std::string& at, const ntfs::Entry& entry) {
    listed.paths.push_back(at + (entry.is_directory() ? "/" : ""));
  };
  request.on_problem = [&](const std::string& at, const Error& error) {
    listed.problems.push_back(at + " " + error.code());
  };
  listed.totals = list_files(tree, request);
  return listed;
}

}  // namespace

TEST_CASE("a listing has every entry in order, a directory before what is in it") {
  OwnVolume own;
  own.write({{"b/2", content_of(10, 1)},
             {"b/1/x", content_of(2'000'000, 2)},
             {"a", content_of(5000, 3)},
             {"C", content_of(0, 4)}});
  ntfs::FileTree tree(own.device);
  const Listed all = list(tree, "");
  CHECK(all.paths == std::vector<std::string>{"a", "b/", "b/1/", "b/1/x", "b/2", "C"});
  CHECK(all.totals.files == 4);
  CHECK(all.totals.directories == 2);
  CHECK(all.totals.bytes == 2'005'010);
  CHECK(list(tree, "/", false).paths == std::vector<std::string>{"a", "b/", "C"});
  CHECK(list(tree, "\\B\\1").paths == std::vector<std::string>{"b/1/x"});
  CHECK(list(tree, "b/1/x").paths == std::vector<std::string>{"b/1/x"});
  CHECK(error_of([&] { list(tree, "nowhere"); }) == "usage/no-such-file");
  CHECK(error_of([&] { list(tree, "\xFF"); }) == "usage/path-encoding");
}

TEST_CASE("a tree of six hundred levels is listed to its end") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(64 * kMiB);
  UniqueFd at = posix::open(volume / "", O_RDONLY | O_DIRECTORY, ErrorKind::kWrite);
  for (int level = 0; level < 600; ++level) {
    REQUIRE(::mkdirat(at.get(), "d", 0755) == 0);
    at = UniqueFd(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  at = UniqueFd();
  const Listed listed = list(volume.open(), "d");
  CHECK(listed.paths.size() == 599);
  CHECK(listed.paths.back().size() == 1200);
}

TEST_CASE("an entry that cannot be read is told, and the listing goes on") {
  OwnVolume own;
  own.write({{"d/1", content_of(10, 1)}, {"d/2", content_of(10, 2)}, {"d/3", content_of(10, 3)}});
  std::uint64_t record = 0;
  {
    ntfs::VolumeReader reader(own.device);
    record = reader.open(u"$MFT")->ranges[0].offset + reader.open(u"d/2")->record * 1024;
  }
  own.device.write(record, Bytes(1024));
  ntfs::FileTree tree(own.device);
  const Listed listed = list(tree, "");
  CHECK(listed.paths == std::vector<std::string>{"d/", "d/1", "d/3"});
  CHECK(listed.problems == std::vector<std::string>{"d/2 volume-damaged"});
  CHECK(listed.totals.problems == 1);
}

TEST_CASE("a name that is no Unicode has a text that leads back to it") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(32 * kMiB);
  volume.write("half \xED\xB2\xBE", content_of(10, 1));
  ntfs::FileTree& tree = volume.open();
  const Listed listed = list(tree, "");
  REQUIRE(listed.paths == std::vector<std::string>{"half \xED\xB2\xBE"});
  CHECK(list(tree, listed.paths[0]).paths == listed.paths);
}

TEST_CASE("names that lead out of a directory have no Linux name") {
  using namespace std::literals;
  for (const std::u16string& name : {u""s, u"."s, u".."s, u"a/b"s, u"/"s, u"a\0b"s}) {
    CHECK_FALSE(linux_name(name).has_value());
  }
  CHECK(linux_name(u"...") == "...");
  CHECK(linux_name(u"a\\b:\n") == "a\\b:\n");
}

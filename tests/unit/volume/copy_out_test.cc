#include <sys/mman.h>

#include <catch2/catch.hpp>

#include "agent/volume/copy_out.h"
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

Bytes copied(ntfs::FileTree& tree, std::string_view path) {
  const UniqueFd fd(::memfd_create("copied", MFD_CLOEXEC));
  std::uint64_t told = 0;
  const std::uint64_t size =
      copy_out(tree, path, fd.get(), "memory", [&](std::uint64_t bytes) { told += bytes; });
  CHECK(told == size);
  Bytes content(size + 1);
  content.resize(posix::pread_up_to(fd.get(), 0, content, "memory", ErrorKind::kInternal));
  CHECK(content.size() == size);
  return content;
}

}  // namespace

TEST_CASE("a file goes out whole, whatever its size") {
  OwnVolume own;
  own.write({{"d/empty", {}},
             {"d/small", content_of(300, 1)},
             {"d/middle", content_of(70'000, 2)},
             {"d/large", content_of(9'000'001, 3)}});
  ntfs::FileTree tree(own.device);
  CHECK(copied(tree, "d/empty").empty());
  CHECK(copied(tree, "d/small") == content_of(300, 1));
  CHECK(copied(tree, "D\\MIDDLE") == content_of(70'000, 2));
  CHECK(copied(tree, "/d/large") == content_of(9'000'001, 3));
  CHECK(error_of([&] { copied(tree, "d"); }) == "usage/file-is-directory");
  CHECK(error_of([&] { copied(tree, "d/none"); }) == "usage/no-such-file");
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  CHECK(error_of([&] { copy_out(tree, "d/large", full.get(), "output"); }) == "write/write-failed");
}

TEST_CASE("holes go out as zeros") {
  if (!MountedNtfs::possible()) return;
  NtfsVolume volume(32 * kMiB);
  volume.write("sparse", content_of(5000, 1), 20'000'000);
  volume.truncate("sparse", 30'000'000);
  Bytes expected(30'000'000);
  std::ranges::copy(content_of(5000, 1), expected.begin() + 20'000'000);
  CHECK(copied(volume.open(), "sparse") == expected);
}

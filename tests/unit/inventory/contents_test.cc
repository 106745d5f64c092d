#include <catch2/catch.hpp>

#include "drive/inventory/signatures.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::inventory;

namespace {

Contents examine(const std::filesystem::path& path) {
  const UniqueFd fd = posix::open(path, O_RDONLY, ErrorKind::kSource);
  return examine_contents(fd.get(), {0, std::filesystem::file_size(path)}, SectorSize(512),
                          path.string());
}

void put(const std::filesystem::path& path, std::uint64_t offset, ByteView data) {
  const UniqueFd fd = posix::open(path, O_RDWR, ErrorKind::kWrite);
  posix::pwrite_all(fd.get(), offset, data, path.string(), ErrorKind::kWrite);
}

}  // namespace

TEST_CASE("a sparse image holds nothing, however large") {
  test::ScratchDirectory scratch;
  const Contents contents = examine(scratch.image("disk0.img", 15 * kTiB));
  CHECK_FALSE(contents.holds_something());
  CHECK(contents.search == Search::kComplete);
  CHECK(contents.description == "empty");
}

TEST_CASE("zeros that were written are as empty as holes") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", 64 * kMiB);
  const Contents sparse = examine(path);
  put(path, 5 * kMiB, Bytes(kMiB));
  const Contents written = examine(path);
  CHECK_FALSE(written.holds_something());
  CHECK(written.digest == sparse.digest);
}

TEST_CASE("a single unknown byte anywhere is found, and told with its offset") {
  test::ScratchDirectory scratch;
  const std::uint64_t offset = GENERATE(as<std::uint64_t>(), 0, 4095, 33'333'333, 64 * kMiB - 1);
  const auto path = scratch.image("disk0.img", 64 * kMiB);
  put(path, offset, Bytes{std::byte{7}});
  const Contents contents = examine(path);
  CHECK(contents.holds_something());
  CHECK(contents.first_data == offset);
  CHECK(contents.description == "unknown data at offset " + std::to_string(offset));
}

TEST_CASE("the digest tells contents apart and depends on nothing else") {
  test::ScratchDirectory scratch;
  const auto one = scratch.image("one.img", 64 * kMiB);
  const auto two = scratch.image("two.img", 64 * kMiB);
  put(one, 8 * kMiB, test::pattern(kMiB));
  put(two, 8 * kMiB + 512 * kKiB, ByteView(test::pattern(kMiB)).subspan(512 * kKiB));
  put(two, 8 * kMiB, ByteView(test::pattern(kMiB)).first(512 * kKiB));
  put(two, 9 * kMiB, Bytes(64 * kKiB));
  CHECK(examine(one).digest == examine(two).digest);
  put(two, 8 * kMiB + 77, Bytes{std::byte{0}});
  CHECK(examine(one).digest != examine(two).digest);
}

TEST_CASE("space that is only reserved is empty, however much") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", 4 * kGiB);
  {
    const UniqueFd fd = posix::open(path, O_RDWR, ErrorKind::kWrite);
    if (::fallocate(fd.get(), 0, 0, 2 * kGiB) != 0) {
      WARN("skipped: no room for 2 GiB, or a file system that reserves nothing");
      return;
    }
    if (::lseek(fd.get(), 0, SEEK_DATA) >= 0) {
      WARN("skipped: this file system does not tell reserved space from data");
      return;
    }
  }
  const Contents contents = examine(path);
  CHECK_FALSE(contents.holds_something());
  CHECK(contents.search == Search::kComplete);
}

TEST_CASE(
    "more data than can be read is not taken for empty: it is sampled, and counts as something") {
  test::ScratchDirectory scratch;
  const std::uint64_t size = 4 * kGiB;
  const auto path = scratch.image("disk0.img", size);
  {
    // Zeros that take up space without being written one by one.
    const UniqueFd fd = posix::open(path, O_RDWR, ErrorKind::kWrite);
    const Bytes zeros(16 * kMiB);
    try {
      for (std::uint64_t at = 0; at <= kGiB; at += zeros.size()) {
        posix::pwrite_all(fd.get(), kGiB + at, zeros, path.string(), ErrorKind::kWrite);
      }
    } catch (const Error& error) {
      WARN("skipped: no room for 1 GiB: " << error.what());
      return;
    }
  }
  const Contents zeros = examine(path);
  CHECK(zeros.search == Search::kSampled);
  CHECK_FALSE(zeros.first_data);
  CHECK(zeros.holds_something());
  CHECK_THAT(zeros.description, Catch::Contains("zeros in all samples"));
  // Between two samples.
  put(path, kGiB + 34 * kMiB, Bytes{std::byte{1}});
  CHECK(examine(path).holds_something());
  put(path, size - 1, Bytes{std::byte{1}});
  CHECK(examine(path).first_data == size - 1);
}

TEST_CASE("only the area that is asked for is looked at") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", 64 * kMiB);
  put(path, 16 * kMiB - 1, Bytes{std::byte{1}});
  put(path, 32 * kMiB, Bytes{std::byte{1}});
  const UniqueFd fd = posix::open(path, O_RDONLY, ErrorKind::kWrite);
  const auto look = [&](const ByteRange& area) {
    return examine_contents(fd.get(), area, SectorSize(512), path.string());
  };
  CHECK_FALSE(look({16 * kMiB, 16 * kMiB}).holds_something());
  CHECK(look({16 * kMiB - 512, 16 * kMiB}).first_data == 16 * kMiB - 1);
  CHECK(look({16 * kMiB, 16 * kMiB + 512}).first_data == 32 * kMiB);
}

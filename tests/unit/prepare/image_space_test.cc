#include "agent/prepare/image_space.h"
#include "base/units.h"

#include <catch2/catch.hpp>

#include "agent/plan/capacity.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using prepare::ImageSpace;

namespace {

ImageSpace space(std::uint64_t needed, std::uint64_t allocated, std::uint64_t device,
                 std::optional<std::uint64_t> free) {
  return {"/srv/disk0.img", needed, allocated, device, free};
}

std::string refusal(const std::vector<ImageSpace>& images) {
  return test::error_of([&] { prepare::check_image_space(images); });
}

}  // namespace

TEST_CASE("a file system must have room for what an image will grow by") {
  CHECK(refusal({space(kGiB, 0, 1, kGiB)}).empty());
  CHECK(refusal({space(kGiB, 0, 1, kGiB - 1)}) == "write/image-space");
  CHECK(refusal({space(kGiB, 4 * kMiB, 1, kGiB - 4 * kMiB)}).empty());
  CHECK(refusal({space(kGiB, kGiB, 1, 0)}).empty());
  CHECK(refusal({space(kGiB, 2 * kGiB, 1, 0)}).empty());
}

TEST_CASE("images on one file system share its room, and only its") {
  const ImageSpace half = space(kGiB / 2, 0, 1, kGiB);
  CHECK(refusal({half, half}).empty());
  CHECK(refusal({half, half, half}) == "write/image-space");
  CHECK(refusal({half, half, space(kGiB / 2, 0, 2, kGiB)}).empty());
  // What one image has in plenty is of no use to another.
  CHECK(refusal({space(0, kGiB, 1, kGiB), half, half, half}) == "write/image-space");
}

TEST_CASE("a file system that does not tell its room is not held against an image") {
  CHECK(refusal({space(kTiB, 0, 1, std::nullopt)}).empty());
}

TEST_CASE("the refusal tells what is missing and where") {
  try {
    prepare::check_image_space({space(3'000'000'000, 0, 1, 1'000'000'000),
                                space(500'000'000, 0, 1, 1'000'000'000)});
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Catch::Contains("/srv/disk0.img and 1 other image"));
    CHECK_THAT(error.what(), Catch::Contains("3.5 GB") && Catch::Contains("1.0 GB free"));
    CHECK_THAT(error.remedy(), Catch::Contains("Free 2.5 GB"));
  }
}

TEST_CASE("an image is asked for what it has, and never for more than its size") {
  const test::ScratchDirectory scratch;
  plan::DrivePlan drive;
  drive.target = scratch.image("disk0.img", 64 * kMiB);
  drive.disk_bytes = 64 * kMiB;
  drive.estimated_bytes = 10 * kMiB;
  const ImageSpace empty = prepare::image_space(drive);
  CHECK(empty.allocated == 0);
  CHECK(empty.needed == 10 * kMiB + plan::overhead_bytes(64 * kMiB, 512));
  REQUIRE(empty.free);
  {
    const UniqueFd fd = posix::open(drive.target, O_RDWR, ErrorKind::kWrite);
    posix::pwrite_all(fd.get(), kMiB, test::pattern(kMiB), "image", ErrorKind::kWrite);
    posix::fsync(fd.get(), "image", ErrorKind::kWrite);
  }
  CHECK(prepare::image_space(drive).allocated >= kMiB);
  CHECK(prepare::image_space(drive).device == empty.device);
  drive.estimated_bytes = kGiB;
  CHECK(prepare::image_space(drive).needed == 64 * kMiB);
}

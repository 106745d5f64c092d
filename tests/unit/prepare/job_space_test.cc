#include "agent/prepare/job_space.h"

#include <catch2/catch.hpp>

#include "base/units.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using prepare::ImageSpace;
using prepare::JobSpace;

namespace {

JobSpace space(std::uint64_t needed, std::optional<std::uint64_t> free) {
  return {"/srv/job", needed, 1, free};
}

ImageSpace image(std::uint64_t needed, std::uint64_t allocated, std::uint64_t device) {
  return {"/srv/disk0.img", needed, allocated, device, kTiB};
}

std::string refusal(const JobSpace& space, const std::vector<ImageSpace>& images = {}) {
  return test::error_of([&] { prepare::check_job_space(space, images); });
}

}  // namespace

TEST_CASE("a job directory must have room for what its files will grow by") {
  CHECK(refusal(space(kGiB, kGiB)).empty());
  CHECK(refusal(space(kGiB, kGiB - 1)) == "write/job-directory-full");
  CHECK(refusal(space(kGiB, std::nullopt)).empty());
}

TEST_CASE("images on the file system of the job directory leave it less") {
  CHECK(refusal(space(kMiB, kGiB), {image(kGiB, 0, 1)}) == "write/job-directory-full");
  CHECK(refusal(space(kMiB, kGiB), {image(kGiB, 0, 2)}).empty());
  CHECK(refusal(space(kMiB, kGiB), {image(kGiB, kMiB, 1)}).empty());
  CHECK(refusal(space(kMiB, kMiB), {image(kMiB, kGiB, 1)}).empty());
}

TEST_CASE("the refusal of a full job directory tells numbers and what to do") {
  try {
    prepare::check_job_space(space(2'000'000'000, 3'000'000'000), {image(1'500'000'000, 0, 1)});
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Catch::Contains("/srv/job") && Catch::Contains("grow by 2.0 GB"));
    CHECK_THAT(error.what(), Catch::Contains("images beside them by 1.5 GB") &&
                                 Catch::Contains("3.0 GB free"));
    CHECK_THAT(error.remedy(), Catch::Contains("Free 500 MB"));
  }
}

#include <catch2/catch.hpp>

#include "agent/prepare/job_preparation.h"

using driveprep::ErrorKind;
using driveprep::prepare::exit_status;

TEST_CASE("the exit status tells the one cause, or that some drives failed") {
  CHECK(exit_status(3, {}) == 0);
  CHECK(exit_status(1, {ErrorKind::kSource}) == 8);
  CHECK(exit_status(2, {ErrorKind::kSource, ErrorKind::kSource}) == 8);
  CHECK(exit_status(2, {ErrorKind::kWrite}) == 10);
  CHECK(exit_status(2, {ErrorKind::kWrite, ErrorKind::kSource}) == 10);
}

TEST_CASE("a drive that was never begun carries no consent over") {
  using driveprep::journal::Drive;
  CHECK_FALSE(driveprep::prepare::begun_before(std::nullopt));
  Drive planned;
  planned.id = "D";
  CHECK_FALSE(driveprep::prepare::begun_before(planned));
}

TEST_CASE("a drive that was begun is recognised by its image and its partition table") {
  driveprep::journal::Drive drive;
  drive.id = "D";
  drive.identity = driveprep::journal::DriveIdentity{"file:5:77:1073741824", 1 << 30, 512};
  const auto begun = driveprep::prepare::begun_before(drive);
  REQUIRE(begun);
  CHECK(begun->identity == driveprep::guard::ImageIdentity{5, 77, 1 << 30}.to_string());
  CHECK_FALSE(begun->disk_guid);
}

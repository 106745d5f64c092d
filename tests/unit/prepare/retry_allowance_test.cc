#include <catch2/catch.hpp>

#include "agent/prepare/retry_allowance.h"
#include "base/units.h"

using namespace driveprep;
using namespace driveprep::prepare;

namespace {

plan::DrivePlan drive_with(std::uint64_t left) {
  plan::DrivePlan drive;
  drive.drive_id = "DISK0";
  drive.disk_bytes = 1024 * kMiB;
  drive.usable_bytes = 1000 * kMiB;
  drive.estimated_bytes = drive.usable_bytes - left;
  return drive;
}

plan::FileItem file_of(std::uint64_t size, job::ItemType type = job::ItemType::kBlockBlob) {
  plan::FileItem item;
  item.size = size;
  item.type = type;
  return item;
}

}  // namespace

TEST_CASE("a file of the planned size is always taken") {
  const plan::DrivePlan drive = drive_with(0);
  RetryAllowance allowance(drive, 0);
  CHECK_FALSE(allowance.objection(file_of(4096), 4096));
  CHECK_FALSE(allowance.objection(file_of(4096), 0));
}

TEST_CASE("a page blob keeps its multiple of 512 and its limit") {
  const plan::DrivePlan drive = drive_with(500 * kMiB);
  RetryAllowance allowance(drive, 0);
  const plan::FileItem page = file_of(512 * 9, job::ItemType::kPageBlob);
  CHECK_THAT(allowance.objection(page, 1000).value(), Catch::Contains("multiple of 512"));
  CHECK_FALSE(allowance.objection(page, 512 * 11));
  CHECK_THAT(allowance.objection(page, 9 * kTiB).value(), Catch::Contains("at most"));
  CHECK_FALSE(allowance.objection(file_of(512 * 9), 1000));
}

TEST_CASE("files that grow share what the plan leaves free") {
  const plan::DrivePlan drive = drive_with(10 * kMiB);
  RetryAllowance allowance(drive, 0);
  const plan::FileItem item = file_of(kMiB);
  CHECK_THAT(allowance.objection(item, 12 * kMiB).value(), Catch::Contains("has room for"));
  CHECK_FALSE(allowance.objection(item, 6 * kMiB));
  CHECK(allowance.objection(item, 7 * kMiB));
  CHECK_FALSE(allowance.objection(item, 5 * kMiB));
  // One that shrinks gives room back.
  CHECK_FALSE(allowance.objection(file_of(4 * kMiB), kMiB));
  CHECK_FALSE(allowance.objection(item, 3 * kMiB));
}

TEST_CASE("what earlier runs took more than planned is gone") {
  const plan::DrivePlan drive = drive_with(10 * kMiB);
  CHECK(RetryAllowance(drive, 8 * kMiB).objection(file_of(kMiB), 4 * kMiB));
  CHECK_FALSE(RetryAllowance(drive, -std::int64_t{8 * kMiB}).objection(file_of(kMiB), 15 * kMiB));
}

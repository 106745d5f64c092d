// A job in a temporary directory, with sources made by the test.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "agent/job/job_directory.h"
#include "agent/plan/build_plan.h"
#include "base/units.h"
#include "tests/support/scratch.h"

namespace driveprep::plan_test {

namespace fs = std::filesystem;

class Fixture {
 public:
  Fixture() {
    fs::create_directories(job_root());
    fs::create_directories(source());
  }

  fs::path root() const { return scratch_.path(); }
  fs::path job_root() const { return scratch_ / "job"; }
  fs::path source() const { return scratch_ / "source"; }
  fs::path key_store() const { return job_root() / "keys"; }

  // A file below source(), sparse, of `size` bytes.
  fs::path file(const std::string& name, std::uint64_t size = 10) const {
    const fs::path path = source() / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path).put('x');
    fs::resize_file(path, size);
    return path;
  }

  // A row in the six-column form; later calls add rows.
  Fixture& row(const std::string& base, const std::string& destination,
               const std::string& rest = "BlockBlob,rename,None,None") {
    rows_ += "\"" + base + "\",\"" + destination + "\"," + rest + "\n";
    return *this;
  }

  job::Job job(const std::string& sources_policy = "{}",
               const std::string& bitlocker = "{}") const {
    const std::string dataset =
        "BasePath,DstItemPathOrPrefix,ItemType,Disposition,MetadataFile,PropertiesFile\n" + rows_;
    job::JobDirectory directory(job_root());
    return {directory,
            job::parse_job_spec(R"({"name": "trial", "location": "x", "storageAccountId":
              "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a",
              "returnAddress": {"recipientName": "r", "streetAddress1": "s", "city": "c",
              "postalCode": "p", "countryOrRegion": "US", "phone": "1", "email": "a@b.c"},
              "encryption": {"keyStore": "keys"}, "sources": )" + sources_policy +
                                    ", \"bitlocker\": " + bitlocker + "}",
                                directory.job_file()),
            job::parse_dataset(dataset, directory.dataset_file()), job::Driveset{}};
  }

  plan::DriveInput drive(const std::string& id, std::uint64_t bytes,
                         std::uint32_t sector_size = 512) const {
    return {id, job_root() / (id + ".img"), bytes, sector_size};
  }
  plan::PlanStore plan(std::uint64_t drive_bytes = kGiB, const std::string& policy = "{}") const {
    return plan::build_plan(job(policy), {drive("D0", drive_bytes)}, {});
  }

 private:
  test::ScratchDirectory scratch_;
  std::string rows_;
};

inline std::vector<plan::FileItem> items(const plan::PlanStore& store, std::size_t drive = 0) {
  std::vector<plan::FileItem> result;
  plan::FileItem item;
  auto cursor = store.files(drive);
  while (cursor.next(item)) result.push_back(item);
  return result;
}

inline std::uint64_t count_of(const plan::PlanStore& store, const std::string& code) {
  for (const auto& count : store.finding_counts()) {
    if (count.code == code) return count.count;
  }
  return 0;
}

// The Error that `action` throws; a plan that succeeds is an internal error with code "none".
template <typename Action>
Error error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::kInternal, "none", "nothing was thrown");
}

}  // namespace driveprep::plan_test

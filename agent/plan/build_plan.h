// From a job and the sizes of its drives to a plan: scans the sources, checks every name, size and
// destination, packs the files onto the drives. Writes nothing but the plan itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "agent/job/job_directory.h"
#include "agent/plan/plan_store.h"
#include "base/error.h"

namespace driveprep::plan {

// What the planner must know about a drive, in the order of driveset.csv.
struct DriveInput {
  std::string drive_id;
  std::filesystem::path target;  // device or image; an image inside a source is refused
  std::uint64_t disk_bytes = 0;
  std::uint32_t sector_size = 512;
  // Of a disk: what it is, where it is, what is on it. Part of the digest, so that agreeing to a
  // plan is agreeing to these disks as they are. "" of an image.
  std::string appearance = {};
};

// Called now and then from the scan; may be empty.
using ScanProgress = std::function<void(std::uint64_t files, std::uint64_t bytes)>;

// Things in the sources or destinations that stop the plan; all of them are found before it is
// thrown. what() tells how many and lists up to 100. The code is that of the problems when they
// share one, else "plan-refused"; the kind is kSource when nothing but sources are to blame.
class PlanRefused : public Error {
 public:
  PlanRefused(ErrorKind kind, std::string code, const std::string& summary,
              std::vector<Finding> problems, std::uint64_t total, std::string remedy);
  const std::vector<Finding>& problems() const { return problems_; }
  std::uint64_t total() const { return total_; }

 private:
  std::vector<Finding> problems_;
  std::uint64_t total_;
};

inline constexpr std::size_t kMaxProblemsListed = 100;

// `database`: where the plan is kept (replaced whole, or untouched on failure); empty for a private
// temporary one that vanishes with the store.
PlanStore build_plan(const job::Job& job, const std::vector<DriveInput>& drives,
                     const std::filesystem::path& database, const ScanProgress& progress = {});

}  // namespace driveprep::plan

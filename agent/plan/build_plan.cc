#include "agent/plan/build_plan.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "agent/plan/capacity.h"
#include "agent/plan/name_collisions.h"
#include "agent/plan/placement.h"
#include "agent/plan/plan_draft.h"
#include "agent/plan/plan_writer.h"
#include "agent/plan/source_scanner.h"
#include "agent/plan/store_access.h"
#include "base/human_text.h"
#include "base/posix.h"

namespace driveprep::plan {
namespace {

// The plan is made beside its final place and moved there when complete.
class PendingFile {
 public:
  explicit PendingFile(const std::filesystem::path& final_path) : final_(final_path) {
    if (final_.empty()) return;
    pending_ = final_.string() + ".tmp";
    ::unlink(pending_.c_str());
  }
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  ~PendingFile() {
    if (!pending_.empty()) ::unlink(pending_.c_str());
  }

  const std::filesystem::path& path() const { return pending_; }

  void commit() {
    const UniqueFd fd = posix::open(pending_, O_RDONLY, ErrorKind::kWrite);
    posix::fsync(fd.get(), pending_.string(), ErrorKind::kWrite);
    std::error_code cause;
    std::filesystem::rename(pending_, final_, cause);
    if (cause) {
      throw Error::from_errno(ErrorKind::kWrite, "plan-write",
                              "move the plan to " + final_.string(), cause.value(),
                              "Check the job directory.");
    }
    posix::fsync_directory(final_.parent_path(), ErrorKind::kWrite);
    pending_.clear();
  }

 private:
  std::filesystem::path final_;
  std::filesystem::path pending_;
};

Geometry widest(const std::vector<DriveInput>& drives) {
  Geometry result{4096, 1024};
  for (const DriveInput& drive : drives) {
    const Geometry geometry = geometry_of(drive.disk_bytes, drive.sector_size);
    result.cluster_bytes = std::max(result.cluster_bytes, geometry.cluster_bytes);
    result.record_bytes = std::max(result.record_bytes, geometry.record_bytes);
  }
  return result;
}

void check_drives(const std::vector<DriveInput>& drives) {
  require(!drives.empty(), "a plan without drives");
  for (const DriveInput& drive : drives) {
    require(drive.sector_size == 512 || drive.sector_size == 4096, "an impossible sector size");
    if (drive.disk_bytes >= kMinDiskBytes) continue;
    throw Error(ErrorKind::kUsage, "drive-too-small",
                drive.target.string() + " (" + drive.drive_id + ") has " +
                    counted(drive.disk_bytes, "byte") + "; the least is 67,108,864 (64 MiB)",
                "Use a larger drive, or make the image larger with truncate -s.");
  }
}

std::vector<DriveRoom> rooms_of(const job::Job& job, const std::vector<DriveInput>& drives,
                                const Geometry& geometry) {
  // Any drive may get files of any row, and with them the row's metadata and properties files.
  std::uint64_t attached = 0;
  for (const job::DatasetRow& row : job.dataset.rows) {
    for (const auto& file : {row.metadata, row.properties}) {
      if (file) attached += file_cost(file->content.size(), 32, 80, geometry);
    }
  }
  std::vector<DriveRoom> rooms;
  for (const DriveInput& drive : drives) {
    const std::uint64_t usable = usable_bytes(drive.disk_bytes, drive.sector_size);
    rooms.push_back({drive.drive_id, drive.disk_bytes, usable - std::min(usable, attached)});
  }
  return rooms;
}

// The rule of the service for the drives that an image stands for.
void check_sector_sizes(const std::vector<DriveInput>& drives, FindingLog& log) {
  for (const DriveInput& drive : drives) {
    if (drive.sector_size == 512) continue;
    log.warn("sector-size", drive.drive_id,
             "has sectors of " + std::to_string(drive.sector_size) +
                 " bytes; the Import/Export service takes only drives whose logical sectors have "
                 "512");
  }
}

// The connection to a finished plan; everything else of the draft is gone.
std::unique_ptr<journal::Database> make_plan(const job::Job& job,
                                             const std::vector<DriveInput>& drives,
                                             const std::filesystem::path& file,
                                             const ScanProgress& progress) {
  const Geometry geometry = widest(drives);
  const bool substitute =
      job.spec.sources.illegal_names == job::SourcePolicy::IllegalNames::kSubstitute;
  PlanDraft draft(file, job.spec.session, geometry, substitute);
  check_sector_sizes(drives, draft.log());
  SourceScanner(job, drives, draft, progress).scan();
  if (progress) progress(draft.files(), draft.bytes());
  resolve_name_collisions(draft, job.dataset, substitute);
  draft.log().check();
  if (draft.files() == 0) {
    throw Error(ErrorKind::kUsage, "nothing-to-ship",
                "the sources of " + job.dataset.file.string() + " hold no files",
                "Correct BasePath in dataset.csv, or mount what is missing.");
  }
  write_plan(draft, job, drives, place_files(draft, rooms_of(job, drives, geometry)));
  return draft.finish();
}

}  // namespace

PlanStore build_plan(const job::Job& job, const std::vector<DriveInput>& drives,
                     const std::filesystem::path& database, const ScanProgress& progress) {
  check_drives(drives);
  if (database.empty()) return build_plan_store(make_plan(job, drives, {}, progress));
  PendingFile pending(database);
  make_plan(job, drives, pending.path(), progress).reset();
  pending.commit();
  return PlanStore::open(database);
}

}  // namespace driveprep::plan

#include "agent/prepare/job_space.h"

#include <sys/stat.h>

#include <algorithm>

#include "agent/prepare/memory_share.h"
#include "agent/report/sizes.h"
#include "base/posix.h"
#include "drive/guard/image_facts.h"

namespace driveprep::prepare {
namespace {

// SQLite starts its write-ahead log over at 4 MB; tables, logs, envelopes and bodies are small.
constexpr std::uint64_t kJournalAndLogs = 6 * kMiB;
// The ends of the disk, and the places of signatures between them.
constexpr std::uint64_t kSavedRegions = 3 * kMiB;

std::uint64_t size_of(const std::filesystem::path& file) {
  std::error_code missing;
  const std::uint64_t size = std::filesystem::file_size(file, missing);
  return missing ? 0 : size;
}

std::uint64_t beyond(std::uint64_t wanted, std::uint64_t there) {
  return wanted - std::min(wanted, there);
}

bool finished(const std::optional<journal::Drive>& drive) {
  return drive && drive->state == journal::DriveState::kFinished;
}

// The metadata of one checkpoint. New records and index blocks do not go through the redo file; the
// bits of all clusters that are given away in one go do.
std::uint64_t redo_bytes(const plan::DrivePlan& drive, const MemoryShare& share) {
  return kMiB + std::min(share.changed_metadata, (drive.files + drive.directories) * kKiB) +
         drive.estimated_bytes / drive.cluster_bytes / 8;
}

std::uint64_t spool_bytes(const plan::PlanTexts& texts) {
  return 48 * texts.files + 16 * texts.pieces + 4 * kKiB;
}

std::uint64_t manifest_bytes(const plan::PlanTexts& texts) {
  return 400 * texts.files + texts.path_bytes + 110 * texts.pieces + 4 * kKiB;
}

std::uint64_t plan_bytes(const plan::PlanTexts& texts, std::uint64_t directories) {
  return 100 * texts.files + 2 * texts.name_bytes + 400 * directories;
}

}  // namespace

JobSpace job_space(const job::JobDirectory& directory, const plan::PlanStore& plan,
                   const journal::Journal* journal) {
  const UniqueFd fd = posix::open(directory.root(), O_RDONLY | O_DIRECTORY, ErrorKind::kUsage);
  JobSpace space;
  space.directory = directory.root();
  space.device = posix::fstat(fd.get(), directory.root().string(), ErrorKind::kUsage).st_dev;
  space.free = free_bytes(fd.get());
  const bool plan_there = std::filesystem::exists(directory.plan_file());
  const auto known = [&](const plan::DrivePlan& drive) {
    return journal != nullptr ? journal->drive(drive.drive_id) : std::nullopt;
  };
  const auto count = std::ranges::count_if(plan.drives(), [&](const plan::DrivePlan& drive) {
    return drive.files > 0 && !finished(known(drive));
  });
  if (count == 0) return space;
  const MemoryShare share = MemoryShare::of(static_cast<std::size_t>(count));
  for (const plan::DrivePlan& drive : plan.drives()) {
    const std::optional<journal::Drive> before = known(drive);
    if (drive.files == 0 || finished(before)) continue;
    const plan::PlanTexts texts = plan.texts(drive.index);
    const std::filesystem::path place = directory.drive(drive.drive_id);
    space.needed += beyond(redo_bytes(drive, share), size_of(place / "redo"));
    space.needed += beyond(spool_bytes(texts), size_of(place / "hashes.spool"));
    if (!before || !before->manifest) space.needed += manifest_bytes(texts);
    if (!before || !before->volume) {
      const bool image = guard::path_kind(drive.target) == guard::PathKind::kFile;
      space.needed += image ? std::min(image_space(drive).allocated, kSavedRegions) : kSavedRegions;
    }
    if (!plan_there) space.needed += plan_bytes(texts, drive.directories);
  }
  space.needed += beyond(kJournalAndLogs, size_of(directory.journal_file()));
  return space;
}

void check_job_space(const JobSpace& job, const std::vector<ImageSpace>& images) {
  if (!job.free) return;
  std::uint64_t for_images = 0;
  for (const ImageSpace& image : images) {
    if (image.device == job.device) for_images += beyond(image.needed, image.allocated);
  }
  const std::uint64_t wanted = for_images + job.needed;
  if (wanted <= *job.free) return;
  throw Error(
      ErrorKind::kWrite, "job-directory-full",
      "the files of the job directory " + job.directory.string() + " will grow by " +
          report::human_bytes(job.needed) +
          (for_images > 0 ? ", images beside them by " + report::human_bytes(for_images) : "") +
          ", and the file system has " + report::human_bytes(*job.free) + " free",
      "Free " + report::human_bytes(wanted - *job.free) +
          " there, or move the job directory to a larger file system.");
}

void check_space(const job::JobDirectory& directory, const plan::PlanStore& plan,
                 const journal::Journal* journal) {
  const std::vector<ImageSpace> images = image_spaces(plan, journal);
  check_image_space(images);
  check_job_space(job_space(directory, plan, journal), images);
}

}  // namespace driveprep::prepare

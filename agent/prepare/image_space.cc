#include "agent/prepare/image_space.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "agent/plan/capacity.h"
#include "agent/report/sizes.h"
#include "base/posix.h"
#include "drive/guard/image_facts.h"

namespace driveprep::prepare {

// Some network file systems and file systems in user space answer with zeros, or with more free
// blocks than there are: that is no answer.
std::optional<std::uint64_t> free_bytes(int fd) {
  struct statvfs facts {};
  if (::fstatvfs(fd, &facts) != 0 || facts.f_blocks == 0 || facts.f_bfree > facts.f_blocks) {
    return std::nullopt;
  }
  const std::uint64_t block = facts.f_frsize != 0 ? facts.f_frsize : facts.f_bsize;
  // Blocks kept back for root are root's to use.
  return block * (::geteuid() == 0 ? facts.f_bfree : facts.f_bavail);
}

ImageSpace image_space(const plan::DrivePlan& drive) {
  const std::string name = drive.target.string();
  const UniqueFd fd =
      posix::open(drive.target, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, ErrorKind::kBusy);
  const struct stat facts = posix::fstat(fd.get(), name, ErrorKind::kBusy);
  ImageSpace space;
  space.image = drive.target;
  space.needed =
      std::min(drive.disk_bytes,
               drive.estimated_bytes + plan::overhead_bytes(drive.disk_bytes, drive.sector_size));
  space.allocated = static_cast<std::uint64_t>(facts.st_blocks) * 512;
  space.device = facts.st_dev;
  space.free = free_bytes(fd.get());
  return space;
}

void check_image_space(const std::vector<ImageSpace>& images) {
  struct Demand {
    const ImageSpace* first = nullptr;
    std::size_t others = 0;
    std::uint64_t missing = 0;
  };
  std::map<std::uint64_t, Demand> demands;
  for (const ImageSpace& image : images) {
    if (!image.free || image.needed <= image.allocated) continue;
    Demand& demand = demands[image.device];
    if (demand.first == nullptr) {
      demand.first = &image;
    } else {
      ++demand.others;
    }
    demand.missing += image.needed - image.allocated;
  }
  for (const auto& [device, demand] : demands) {
    const std::uint64_t free = *demand.first->free;
    if (demand.missing <= free) continue;
    const std::string also =
        demand.others > 0 ? " and " + report::counted(demand.others, "other image") : "";
    throw Error(ErrorKind::kWrite, "image-space",
                demand.first->image.string() + also + " will grow by " +
                    report::human_bytes(demand.missing) + ", and the file system has " +
                    report::human_bytes(free) + " free",
                "Free " + report::human_bytes(demand.missing - free) +
                    " there, or put images on a larger file system and name them in driveset.csv.");
  }
}

std::vector<ImageSpace> image_spaces(const plan::PlanStore& plan, const journal::Journal* journal) {
  std::vector<ImageSpace> images;
  for (const plan::DrivePlan& drive : plan.drives()) {
    const std::optional<journal::Drive> known =
        journal != nullptr ? journal->drive(drive.drive_id) : std::nullopt;
    const bool finished = known && known->state == journal::DriveState::kFinished;
    const bool image = guard::path_kind(drive.target) == guard::PathKind::kFile;
    if (image && drive.files > 0 && !finished) images.push_back(image_space(drive));
  }
  return images;
}

}  // namespace driveprep::prepare

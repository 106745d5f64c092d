#include "agent/prepare/retry_allowance.h"

#include <algorithm>

#include "agent/plan/capacity.h"
#include "agent/plan/limits.h"
#include "base/human_text.h"

namespace driveprep::prepare {
namespace {

std::uint64_t cost(const plan::FileItem& item, std::uint64_t size, const plan::Geometry& geometry) {
  return plan::file_cost(size, item.ntfs_name.size(), item.blob_path.size() + item.file_path.size(),
                         geometry);
}

}  // namespace

RetryAllowance::RetryAllowance(const plan::DrivePlan& drive, std::int64_t grown_before)
    : drive_(drive),
      left_(static_cast<std::int64_t>(drive.usable_bytes) -
            static_cast<std::int64_t>(drive.estimated_bytes) - grown_before) {}

std::optional<std::string> RetryAllowance::objection(const plan::FileItem& item,
                                                     std::uint64_t size) {
  if (size == item.size) return std::nullopt;
  const std::string has = "has " + counted(size, "byte") + " now";
  for (const plan::SizeLimit& limit : plan::kSizeLimits) {
    if (limit.type != item.type) continue;
    const std::string kind = "a " + std::string(job::to_string(item.type));
    if (size > limit.refused_above) {
      return has + "; " + kind + " holds at most " + std::to_string(limit.refused_above);
    }
    if (size % limit.multiple_of != 0) {
      return has + "; " + kind + " needs a multiple of " + std::to_string(limit.multiple_of);
    }
  }
  const plan::Geometry geometry = plan::geometry_of(drive_.disk_bytes, drive_.sector_size);
  const auto growth = static_cast<std::int64_t>(cost(item, size, geometry)) -
                      static_cast<std::int64_t>(cost(item, item.size, geometry));
  if (growth > std::max<std::int64_t>(left_, 0)) {
    return has + " instead of " + std::to_string(item.size) + "; drive " + drive_.drive_id +
           " has room for " + std::to_string(std::max<std::int64_t>(left_, 0)) +
           " bytes more than planned";
  }
  left_ -= growth;
  return std::nullopt;
}

}  // namespace driveprep::prepare

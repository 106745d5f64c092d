#include "agent/prepare/directory_walk.h"

#include <algorithm>

#include "agent/prepare/times.h"

namespace driveprep::prepare {

void DirectoryWalk::leave_to(std::size_t depth) {
  while (stack_.size() > depth) {
    const plan::Directory& directory = stack_.back();
    std::optional<ntfs::FileTimes> times;
    if (directory.times) times = file_times(*directory.times);
    writer_.leave_directory(times);
    stack_.pop_back();
  }
}

void DirectoryWalk::go_to(std::int64_t id) {
  if (!stack_.empty() && stack_.back().id == id) return;
  // The way up from `id` to the first directory that is open already.
  std::vector<plan::Directory> missing;
  std::size_t common = 0;
  for (std::optional<std::int64_t> at = id; at;) {
    const auto open = std::ranges::find(stack_, *at, &plan::Directory::id);
    if (open != stack_.end()) {
      common = static_cast<std::size_t>(open - stack_.begin()) + 1;
      break;
    }
    missing.push_back(plan_.directory(*at));
    at = missing.back().parent;
  }
  leave_to(common);
  for (; !missing.empty(); missing.pop_back()) {
    writer_.enter_directory(missing.back().ntfs_name);
    stack_.push_back(std::move(missing.back()));
  }
}

}  // namespace driveprep::prepare

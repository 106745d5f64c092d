// Moves the volume writer to the directory of the next file.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/plan/plan_store.h"
#include "drive/ntfs/volume_writer.h"

namespace driveprep::prepare {

class DirectoryWalk {
 public:
  // Both must outlive this. The writer stands at the root.
  DirectoryWalk(const plan::PlanStore& plan, ntfs::VolumeWriter& writer)
      : plan_(plan), writer_(writer) {}

  // Leaves and enters directories (making those that are missing) until `id` is the current one.
  // A directory gets its source's times when it is left.
  void go_to(std::int64_t id);
  void go_to_root() { leave_to(0); }

 private:
  void leave_to(std::size_t depth);

  const plan::PlanStore& plan_;
  ntfs::VolumeWriter& writer_;
  std::vector<plan::Directory> stack_;  // from the session directory down
};

}  // namespace driveprep::prepare

// Times of the plan as times of the file system.
#pragma once

#include "agent/plan/plan_store.h"
#include "drive/ntfs/types.h"

namespace driveprep::prepare {

inline ntfs::FileTimes file_times(const plan::Times& times) {
  return {times.created, times.modified, times.accessed};
}

}  // namespace driveprep::prepare

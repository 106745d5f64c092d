// The job directory's own files grow while drives are written: whether there is room for them is
// asked before a drive is touched, not found out when it is half full.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "agent/job/job_directory.h"
#include "agent/journal/journal.h"
#include "agent/plan/plan_store.h"
#include "agent/prepare/image_space.h"

namespace driveprep::prepare {

struct JobSpace {
  std::filesystem::path directory;
  std::uint64_t needed = 0;  // bytes that its files will grow by, at most and about
  std::uint64_t device = 0;  // st_dev
  std::optional<std::uint64_t>
      free;  // bytes for this user; nullopt where the file system does not say
};

// Redo file, hash spool, manifest copy and saved regions of every drive that gets files and is not
// finished; journal, logs, and the plan unless it is there already. `journal` may be null.
JobSpace job_space(const job::JobDirectory& directory, const plan::PlanStore& plan,
                   const journal::Journal* journal);

// Throws kWrite "job-directory-full" when its file system has not enough, besides what the images
// there will grow by.
void check_job_space(const JobSpace& job, const std::vector<ImageSpace>& images);

// Room for the images (image_space.h) and for the job directory. `journal` may be null.
void check_space(const job::JobDirectory& directory, const plan::PlanStore& plan,
                 const journal::Journal* journal);

}  // namespace driveprep::prepare

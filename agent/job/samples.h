// The commented sample job directory (samples/job in the source tree), built into the program.
#pragma once

#include <span>
#include <string_view>

namespace driveprep::job {

struct Sample {
  const char* path;  // below the job directory
  std::string_view content;
};

std::span<const Sample> samples();

}  // namespace driveprep::job

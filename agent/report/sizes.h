// Sizes, rates and times as people read them.
#pragma once

#include "base/human_text.h"

namespace driveprep::report {

using driveprep::counted;
using driveprep::human_bytes;
using driveprep::human_count;
using driveprep::human_duration;

}  // namespace driveprep::report

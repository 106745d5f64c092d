// The progress of one drive as one line of text.
#pragma once

#include <cstddef>
#include <string>

#include "agent/report/drive_progress.h"
#include "agent/report/rate_meter.h"

namespace driveprep::report {

// "DISK0  copying    44 %  692 MB of 1.6 GB  3 of 20 files  486 MB/s  2 min 05 s left".
// At most `width` characters: the count of files is left out first, then the sizes. No speed is
// claimed before there is one; "? left" is a time that cannot be told yet.
std::string progress_line(const std::string& drive_id, const DriveProgress::Snapshot& snapshot,
                          const RateMeter& meter, std::size_t width);

}  // namespace driveprep::report

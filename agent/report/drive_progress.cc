#include "agent/report/drive_progress.h"

namespace driveprep::report {

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::kWaiting: return "waiting";
    case Phase::kOpening: return "opening";
    case Phase::kFormatting: return "formatting";
    case Phase::kCopying: return "copying";
    case Phase::kFinishing: return "finishing";
    case Phase::kVerifying: return "verifying";
    case Phase::kSealing: return "sealing";
    case Phase::kErasing: return "erasing";
    case Phase::kSearching: return "searching";
    case Phase::kExporting: return "exporting";
    case Phase::kExtracting: return "extracting";
    case Phase::kWriting: return "writing";
    case Phase::kDone: return "done";
    case Phase::kIncomplete: return "incomplete";
    case Phase::kStopped: return "stopped";
    case Phase::kFailed: return "failed";
  }
  return "unknown";
}

}  // namespace driveprep::report

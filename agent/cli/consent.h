// The operator's agreement that what is on a drive may be destroyed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/job/job_directory.h"
#include "agent/journal/journal.h"
#include "drive/guard/image_target.h"

namespace driveprep::cli {

// An image that nothing speaks against, but for a consent that can still be asked for.
struct JudgedImage {
  guard::ImageFacts facts;
  guard::Consent consent;
  bool ask = false;  // only consent is missing, and there is a terminal
};

// Looks at the image of one row of the driveset and judges it. Throws what speaks against it.
// `confirmed`: the drive ids given with --confirm. `journal` may be null.
JudgedImage judge_image(const job::Job& job, const job::DriveRow& row,
                        const journal::Journal* journal, const std::vector<std::string>& confirmed);

// Where it has to be asked, shows what is on the image and waits for the drive id to be typed; one
// try. nullopt when a signal came instead of an answer (stop_requested()).
std::optional<guard::VettedImage> vet_with_consent(JudgedImage image);

// What a plan can say of the target of one row without touching it.
struct TargetOutlook {
  std::string contents;  // "empty", "GPT, NTFS 'Backup'"
  bool needs_confirmation = false;
  bool continues = false;  // begun by an earlier run of this job
  bool finished = false;   // by an earlier run of this job
};
// Throws what speaks against the image whatever the operator agrees to. `journal` may be null.
TargetOutlook outlook(const job::Job& job, const job::DriveRow& row,
                      const journal::Journal* journal);

}  // namespace driveprep::cli

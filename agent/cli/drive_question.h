// How a drive is shown to the operator, and how agreement to destroy what is on it is asked for.
#pragma once

#include <optional>
#include <string>

#include "drive/guard/drive_target.h"

namespace driveprep::cli {

// "/dev/sdb: WDC WD40EFRX, serial number WD-1 (ata-identify), 4.0 TB, sata, pci-0000:00:1f.2/ata2".
std::string description(const guard::Candidate& candidate);

// Nothing but the missing answer speaks against the target: it can be asked for.
bool only_consent_missing(const guard::Verdict& verdict);
bool wants_confirmation(const guard::Verdict& verdict);

// Shows the drive, what is on it and what should be known of it, says what happens ("Everything on
// it will be destroyed."), and waits for the drive id to be typed; one try. nullopt at the end of
// input, and when a signal came instead of an answer (stop_requested()).
std::optional<std::string> ask_for_drive_id(const guard::Candidate& candidate,
                                            const std::optional<std::string>& also,
                                            const std::string& what_happens);

}  // namespace driveprep::cli

// One disk for a command outside a job: found, judged as `prepare` would, and agreed to.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drive/guard/drive_target.h"

namespace driveprep::cli {

struct DiskOptions {
  std::string disk;                  // serial number, name in /dev/disk/by-id, path, kernel name
  std::vector<std::string> confirm;  // the drive id, for scripts
  std::vector<std::string> accept;   // "REASON:ID"
  bool json = false;
};

// The drive id is the disk's serial number; of a loop device its name ("loop0"), of a disk that
// tells no serial number its name in /dev/disk/by-id, by which it has to be called then.
class DiskChoice {
 public:
  // Looks at the machine and judges the disk. Sectors of 4096 bytes are all right outside a job.
  // Throws kUsage "drive-not-there" when nothing is called so, kRefused "disk-serial-duplicate"
  // when several are, "disk-serial-weak" for the kernel's name of a disk without a number, and what
  // speaks against the disk but for an agreement that can still be asked for. `accepted`: reasons
  // that do not matter to the command; `wiping`: nor does whether the disk is failing.
  DiskChoice(const DiskOptions& options, std::vector<std::string> accepted = {},
             bool wiping = false);

  const guard::Candidate& candidate() const { return *candidate_; }

  // Asks for the agreement where it is missing; `what_happens` is said then. nullopt when a signal
  // came instead of an answer (stop_requested()). The machine lives as long as this.
  std::optional<guard::VettedDrive> vet(const std::optional<std::string>& also,
                                        const std::string& what_happens);

 private:
  std::unique_ptr<guard::Machine> machine_;
  std::optional<guard::Candidate> candidate_;
  guard::Consent consent_;
};

}  // namespace driveprep::cli

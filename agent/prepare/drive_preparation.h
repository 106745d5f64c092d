// All steps of one drive, from an allowed target to a verified, sealed drive; or from wherever an
// earlier run stopped.
//
//   begin   keys, envelope, wipe, GPT, BitLocker metadata, NTFS, reserved files, first checkpoint
//   copy    the data set, with checkpoints
//   finish  directory times, manifest, last checkpoint
//   verify  a fresh reader compares every block
//   seal    the volume header, last: only now does the drive look like one
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <spdlog/logger.h>

#include "agent/job/job_directory.h"
#include "agent/journal/journal.h"
#include "agent/plan/plan_store.h"
#include "agent/prepare/memory_share.h"
#include "agent/prepare/verifier.h"
#include "agent/report/drive_progress.h"
#include "drive/guard/drive_target.h"
#include "keywrap/key_store.h"

namespace driveprep::prepare {

// What all drives of a run share. Everything must outlive the preparations.
struct PrepareContext {
  const job::Job& job;
  std::filesystem::path plan_file;
  std::string job_id;   // what envelopes are bound to
  std::string creator;  // "driveprep 0.1.0"
  journal::Journal& journal;
  keywrap::KeyStore& keys;
  std::string kid;  // the key version that wraps new recovery passwords
  spdlog::logger& log;
  MemoryShare memory = {};  // of each drive
  const std::atomic<bool>* stop = nullptr;
};

struct DriveOutcome {
  std::string drive_id;
  journal::DriveState state = journal::DriveState::kPlanned;
  bool stopped = false;
  std::uint64_t failures = 0;  // sources that could not be copied
  std::optional<VerifyReport> verification;
  std::optional<Error> error;  // why it is not finished
  // By SMART, when it was armed and when it had been read back; nullopt where it tells nothing.
  std::optional<inventory::Health> health_before = std::nullopt;
  std::optional<inventory::Health> health_after = std::nullopt;
  // Of a finished drive: what could not be done for it beside.
  std::vector<std::string> warnings = {};
};

// Never throws an Error: what goes wrong with one drive is in its outcome and in the journal.
DriveOutcome prepare_drive(const PrepareContext& context, std::size_t drive_index,
                           const guard::VettedDrive& vetted, report::DriveProgress& progress);

// Whether a drive was read back and found wrong: it is made anew then, never continued.
bool failed_verification(const journal::Drive& drive);

// What earlier runs leave to be continued: consent that was given, for the guard. Nothing of a
// drive that failed its verification.
std::optional<guard::Consent::Begun> begun_before(const std::optional<journal::Drive>& drive);

}  // namespace driveprep::prepare

#include "agent/prepare/drive_completion.h"

#include <utility>

#include "agent/keys/audit.h"
#include "agent/keys/drive_envelope.h"
#include "agent/prepare/drive_health.h"
#include "agent/prepare/prepared_drives.h"
#include "agent/report/sizes.h"
#include "bitlocker/create.h"
#include "bitlocker/open.h"

namespace driveprep::prepare {
namespace {

using journal::DriveState;

class DriveCompletion {
 public:
  DriveCompletion(const WrittenDrive& drive, DriveOutcome& outcome)
      : drive_(drive),
        context_(drive.context),
        journal_(drive.context.journal),
        id_(drive.plan.drive_id),
        outcome_(outcome) {}

  void run() {
    journal_.set_state(id_, DriveState::kVerifying, "reading everything back");
    outcome_.verification = verify();
    const VerifyReport& found = *outcome_.verification;
    if (found.stopped) {
      outcome_.stopped = true;
      outcome_.state = DriveState::kVerifying;
      journal_.set_state(id_, DriveState::kVerifying,
                         "all is copied; reading it back was stopped by the operator");
      return;
    }
    if (found.differs()) {
      const Error error = verification_error(id_, found);
      return fail(error, found.inconsistency ? error.what()
                                             : report::counted(found.mismatch_count, "difference") +
                                                   " when read back");
    }
    if (!found.ok()) throw verification_error(id_, found);
    if (const std::optional<Error> lost = lost_structure()) return fail(*lost, lost->what());
    if (const std::optional<Error> worse = worse_health()) return fail(*worse, worse->what());
    drive_.progress.begin(report::Phase::kSealing);
    seal();
    remember();
    journal_.set_verification(id_, record("ok"), DriveState::kFinished, "verified");
    journal_.add_event("drive-finished", id_);
    outcome_.state = DriveState::kFinished;
    show_table();
  }

 private:
  bitlocker::RecoveryPassword recovery_password(const char* why) {
    return keys::use_recovery_password(journal_, context_.job.directory, context_.job_id, id_,
                                       DriveState::kWriting, context_.keys, why);
  }

  VerifyReport verify() {
    const std::unique_ptr<block::FileDevice> disk = drive_.armed.open_for_reading();
    const DriveMonitor::Watch watch(drive_.monitor, disk->outstanding());
    return verify_drive({
        .disk = *disk,
        .recovery_password = recovery_password("verify"),
        .drive_id = id_,
        .volume = drive_.facts.volume,
        .manifest_md5 = journal_.drive(id_)->manifest->md5_hex,
        .expected_bytes = drive_.plan.bytes,
        .expected_files = drive_.plan.files,
        .metadata_offsets = drive_.facts.metadata_offsets,
        .progress = &drive_.progress,
        .stop = context_.stop,
        .buffers = context_.memory.buffers,
    });
  }

  journal::Verification record(const std::string& result) const {
    const VerifyReport& found = *outcome_.verification;
    return {FileTime::now(), found.blocks, found.bytes, found.cache_bypassed, result};
  }

  void fail(const Error& error, const std::string& detail) {
    outcome_.state = DriveState::kFailed;
    outcome_.error = error;
    journal_.set_verification(id_, record(error.code()), DriveState::kFailed, detail);
  }

  // Whether a write of the file system's or of BitLocker's own was dropped: no file that was read
  // back depends on all of them.
  std::optional<Error> lost_structure() {
    const std::unique_ptr<block::FileDevice> disk = drive_.armed.open_for_reading();
    const DriveMonitor::Watch watch(drive_.monitor, disk->outstanding());
    const std::optional<std::uint64_t> lost = drive_.session.lost_structure(*disk);
    if (!lost) return std::nullopt;
    return Error(ErrorKind::kVerification, "structures-lost",
                 "drive " + id_ + " does not keep what is written to it: at byte " +
                     std::to_string(*lost) +
                     " of its partition stands something else than was written last",
                 "Do not ship this drive: prepare another one.");
  }

  // A drive that became worse while it was written fails, whatever it has given back. One that has
  // fallen silent is asked again by the next run.
  std::optional<Error> worse_health() {
    const std::optional<inventory::Health> before = drive_.armed.health_when_armed();
    const std::optional<inventory::Health> now = health_after(drive_.armed);
    if (!before && !now) return std::nullopt;
    outcome_.health_before = before;
    outcome_.health_after = now;
    keys::record(journal_, "drive-health", id_,
                 {{"before", health_json(before)}, {"after", health_json(now)}});
    if (const std::string untold = silence(before, now); !untold.empty()) {
      throw Error(
          ErrorKind::kHealth, "drive-health-silent",
          "drive " + id_ + " told its health before it was written and no longer does: " + untold,
          "Check cable and port, then run the same command again: the drive is read back "
          "and asked once more. If it stays silent, use another drive.");
    }
    const std::string worse = deterioration(before, now);
    if (worse.empty()) return std::nullopt;
    return Error(ErrorKind::kHealth, "drive-deteriorated",
                 "drive " + id_ + " has become worse while it was written: " + worse,
                 "Do not ship it: check cable and port, and prepare another drive.");
  }

  // The commit, and a last look at it through the front door.
  void seal() {
    bitlocker::EncryptedDevice& volume = drive_.session.volume();
    Bytes boot_sector(volume.sector_size().bytes());
    volume.read(0, boot_sector);
    bitlocker::write_boot_region(drive_.session.structures(), drive_.session.layout(), boot_sector);
    const std::unique_ptr<block::FileDevice> disk = drive_.armed.open_for_reading();
    const auto differs = [&] {
      return Error(ErrorKind::kVerification, "seal-differs",
                   "the finished volume on " + disk->name() + " is not the one that was made",
                   "Run the same command again: the drive is read back and sealed once more. If "
                   "that repeats, do not ship it: prepare another one.");
    };
    if (drive_.session.lost_structure(*disk)) throw differs();
    const block::ReadableSlice partition(
        *disk, {drive_.facts.partition_offset, drive_.facts.partition_length},
        disk->name() + " (partition 1)");
    const bitlocker::OpenedVolume opened =
        bitlocker::open_volume(partition, recovery_password("seal"));
    if (opened.volume_id != drive_.facts.volume ||
        bitlocker::header_difference(partition, opened.layout, boot_sector)) {
      throw differs();
    }
  }

  // Other jobs shall not take the disk for a free one.
  void remember() {
    if (!drive_.armed.is_disk()) return;
    const auto serial = drive_.armed.candidate().disk().disk.identity().serial;
    if (!serial) return;
    try_for_finished([&] {
      keep_prepared_drive(
          {serial->value, drive_.facts.disk.lower(), context_.job.directory.root().string()});
    });
  }

  void show_table() {
    try_for_finished([&] { drive_.armed.show_table_to_kernel(); });
  }

  // What cannot be done for a finished drive does not make it less finished.
  template <typename Step>
  void try_for_finished(Step step) {
    try {
      step();
    } catch (const Error& error) {
      context_.log.warn("drive {}: {} ({})", id_, error.what(), error.code());
      outcome_.warnings.push_back(std::string(error.what()) + " (" + error.code() + ")");
    }
  }

  const WrittenDrive& drive_;
  const PrepareContext& context_;
  journal::Journal& journal_;
  const std::string& id_;
  DriveOutcome& outcome_;
};

}  // namespace

void complete_drive(const WrittenDrive& drive, DriveOutcome& outcome) {
  DriveCompletion(drive, outcome).run();
}

}  // namespace driveprep::prepare

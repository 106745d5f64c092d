#include "agent/prepare/drive_preparation.h"

#include <algorithm>
#include <array>
#include <utility>

#include "agent/keys/audit.h"
#include "agent/keys/drive_envelope.h"
#include "agent/manifest/drive_info.h"
#include "agent/prepare/drive_completion.h"
#include "agent/prepare/drive_monitor.h"
#include "agent/prepare/drive_sensors.h"
#include "agent/prepare/manifest_builder.h"
#include "agent/prepare/volume_copier.h"
#include "agent/prepare/volume_creation.h"
#include "agent/report/sizes.h"
#include "agent/volume/empty_volume.h"
#include "base/posix.h"
#include "bitlocker/create.h"
#include "bitlocker/open.h"
#include "drive/ntfs/volume_writer.h"

namespace driveprep::prepare {
namespace {

using journal::DriveState;

class DrivePreparation {
 public:
  DrivePreparation(const PrepareContext& context, std::size_t drive_index,
                   const guard::VettedDrive& vetted, report::DriveProgress& progress)
      : context_(context),
        index_(drive_index),
        vetted_(vetted),
        progress_(progress),
        plan_(plan::PlanStore::open(context.plan_file)),
        drive_(plan_.drives().at(drive_index)) {}

  void run(DriveOutcome& outcome) {
    if (stopped_before()) {
      outcome.stopped = true;
      outcome.state = context_.journal.drive(drive_.drive_id)->state;
      return;
    }
    progress_.begin(report::Phase::kOpening);
    armed_.emplace(guard::arm(vetted_));
    try {
      work(outcome);
    } catch (const Error& error) {
      // Libraries that work on the descriptor tell an unplugged disk in words of their own.
      const bool elsewhere = error.kind() == ErrorKind::kKey || error.kind() == ErrorKind::kSource;
      if (!elsewhere) armed_->device().throw_if_gone(error);
      throw;
    }
  }

 private:
  void work(DriveOutcome& outcome) {
    monitor_ = std::make_unique<DriveMonitor>(heat_limits_of(*armed_), monitor_hooks(), progress_,
                                              context_.stop);
    const DriveMonitor::Watch watch(*monitor_, armed_->device().outstanding());
    const std::optional<journal::Drive> known = context_.journal.drive(drive_.drive_id);
    const std::optional<journal::Checkpoint> checkpoint =
        context_.journal.checkpoint(drive_.drive_id);
    bool complete = false;
    if (known && known->volume && checkpoint && !failed_verification(*known)) {
      try {
        complete = go_on(*known, *checkpoint, outcome);
      } catch (const Error& error) {
        if (!ends_continuation(error)) throw;
        if (vetted_.consent().confirmed_id != drive_.drive_id) throw with_way_on(error);
        context_.log.warn("drive {}: started over as confirmed: {} ({})", drive_.drive_id,
                          error.what(), error.code());
        spool_.reset();
        session_.reset();
        complete = start(outcome);
      }
    } else {
      complete = start(outcome);
    }
    if (!complete) return;
    complete_drive({context_, drive_, facts_, *armed_, *session_, *monitor_, progress_}, outcome);
  }

  // Something that continuing needs is gone, and will not come back by itself.
  static bool ends_continuation(const Error& error) {
    static constexpr std::array kCodes = {"envelope-missing",     "envelope-corrupt",
                                          "redo-missing",         "hash-spool-short",
                                          "hash-spool-malformed", "partial-file-missing"};
    return std::ranges::find(kCodes, error.code()) != kCodes.end();
  }

  Error with_way_on(const Error& error) const {
    return Error(error.kind(), error.code(), error.what(),
                 error.remedy() +
                     " Otherwise start the drive over, with new keys: driveprep "
                     "prepare --confirm " +
                     drive_.drive_id + ".");
  }

  // True when everything is on the drive; so are the next two.
  bool start(DriveOutcome& outcome) {
    progress_.begin(report::Phase::kFormatting);
    NewDrive made = create_drive(context_, drive_, *armed_, vetted_.destroys());
    session_ = std::move(made.session);
    facts_ = std::move(made.facts);
    spool_ = std::make_unique<manifest::HashSpoolWriter>(file("hashes.spool"), 0);
    return copy(outcome, std::nullopt, made.free_clusters);
  }

  bool go_on(const journal::Drive& known, const journal::Checkpoint& checkpoint,
             DriveOutcome& outcome) {
    resume(known, checkpoint);
    return known.manifest || copy(outcome, checkpoint, 0);
  }

  bool stopped_before() const { return context_.stop != nullptr && *context_.stop; }

  std::filesystem::path file(const char* name) const {
    return context_.job.directory.drive(drive_.drive_id) / name;
  }

  void resume(const journal::Drive& known, const journal::Checkpoint& checkpoint) {
    block::FileDevice& disk = armed_->device();
    facts_ = *known.volume;
    bitlocker::VolumeLayout layout = layout_of(facts_, disk.sector_size());
    const bitlocker::RecoveryPassword recovery_password = keys::use_recovery_password(
        context_.journal, context_.job.directory, context_.job_id, drive_.drive_id,
        DriveState::kWriting, context_.keys, "continue");
    const block::ReadableSlice partition(disk, {facts_.partition_offset, facts_.partition_length},
                                         disk.name() + " (partition 1)");
    bitlocker::OpenOptions options;
    options.metadata_offsets = facts_.metadata_offsets;
    const bitlocker::OpenedVolume opened =
        bitlocker::open_volume(partition, recovery_password.clone(), options);
    if (opened.volume_id != facts_.volume) {
      throw Error(ErrorKind::kJournalMismatch, "drive-other-volume",
                  disk.name() + " holds BitLocker volume " + opened.volume_id.lower() +
                      ", the journal began " + facts_.volume.lower(),
                  "Put back what was begun, or prepare the drive in a new job.");
    }
    session_ = std::make_unique<DriveSession>(*armed_, facts_, std::move(layout), opened.cipher,
                                              file("redo"));
    if (!known.manifest) {
      spool_ = std::make_unique<manifest::HashSpoolWriter>(file("hashes.spool"),
                                                           checkpoint.spool_length);
    }
    if (!checkpoint.applied) {
      if (!session_->redo().replay(checkpoint.number, checkpoint.redo_digest)) {
        throw Error(ErrorKind::kJournalMismatch, "redo-missing",
                    "checkpoint " + std::to_string(checkpoint.number) + " of drive " +
                        drive_.drive_id + " needs " + file("redo").string() +
                        ", which is missing or damaged",
                    "Restore that file.");
      }
      context_.journal.mark_applied(drive_.drive_id, checkpoint.number);
    }
    context_.log.info("drive {}: continuing after checkpoint {}, {} files done", drive_.drive_id,
                      checkpoint.number, checkpoint.files_done);
  }

  bool copy(DriveOutcome& outcome, const std::optional<journal::Checkpoint>& checkpoint,
            std::uint64_t free_clusters_known) {
    const std::string& id = drive_.drive_id;
    CopyPipeline::Options pipeline_options;
    pipeline_options.buffers = context_.memory.buffers;
    pipeline_options.group = std::min<std::size_t>(16, context_.memory.buffers / 3);
    pipeline_options.on_written = [this](std::uint64_t bytes) { progress_.add_bytes(bytes); };
    pipeline_options.before_write = [this] { monitor_->wait_while_hot(); };
    CopyPipeline pipeline(session_->volume(), {session_->bulk(), session_->structures()},
                          facts_.cluster_size, std::move(pipeline_options));

    ntfs::WriterOptions writer_options;
    writer_options.planned_records = drive_.files + drive_.directories + 8;
    writer_options.cache_cap = context_.memory.metadata_cache;
    if (free_clusters_known > 0) writer_options.free_clusters = free_clusters_known;
    ntfs::VolumeWriter writer(session_->volume(), pipeline, writer_options);
    Checkpointer checkpointer(id, checkpoint ? checkpoint->number : 0, writer, pipeline,
                              session_->bulk(), session_->redo(), *spool_, context_.journal);

    CopyState state;
    if (checkpoint) {
      state = {checkpoint->next_file, checkpoint->bytes_done, checkpoint->files_done,
               checkpoint->partial};
    } else {
      writer.reserve(volume::reserved_files(session_->layout()));
      checkpointer.make(Checkpointer::Kind::kMore, state);
    }
    context_.journal.set_state(id, DriveState::kWriting, "copying");
    progress_.begin(report::Phase::kCopying, drive_.bytes, drive_.files,
                    state.bytes_done + (state.partial ? state.partial->valid_length : 0),
                    state.files_done);

    ReadRequest request;
    request.plan_file = context_.plan_file;
    request.dataset = &context_.job.dataset;
    request.follow_links =
        context_.job.spec.sources.symlinks == job::SourcePolicy::Symlinks::kFollow;
    request.drive = index_;
    request.retries = failed_before();
    request.stop = context_.stop;
    VolumeCopier copier(
        {plan_, index_, writer, pipeline, *spool_, checkpointer, context_.memory.changed_metadata},
        hooks());
    const CopyOutcome copied = copier.run(state, std::move(request));
    outcome.failures = context_.journal.failure_count(id);
    if (copied.stopped) {
      outcome.stopped = true;
      outcome.state = DriveState::kWriting;
      context_.journal.set_state(id, DriveState::kWriting, "the copy was stopped by the operator");
      return false;
    }
    if (outcome.failures > 0) {
      const std::string detail =
          report::counted(outcome.failures, "source file") + " could not be copied";
      outcome.state = DriveState::kIncomplete;
      outcome.error.emplace(ErrorKind::kSource, "sources-failed", "drive " + id + ": " + detail,
                            "Put those files right and run the same command again: only they are "
                            "copied.");
      context_.journal.set_state(id, DriveState::kIncomplete, detail);
      return false;
    }
    finish(copier, writer, checkpointer, copied.state);
    return true;
  }

  void finish(VolumeCopier& copier, ntfs::VolumeWriter& writer, Checkpointer& checkpointer,
              const CopyState& state) {
    progress_.begin(report::Phase::kFinishing);
    copier.complete_directories();
    const std::filesystem::path copy_of_manifest =
        context_.job.directory.manifest_copy(drive_.drive_id);
    const manifest::ManifestSummary summary = build_manifest({.plan = plan_,
                                                              .plan_file = context_.plan_file,
                                                              .drive = index_,
                                                              .creator = context_.creator,
                                                              .spool = file("hashes.spool"),
                                                              .spool_length = spool_->sync(),
                                                              .output = copy_of_manifest});
    copier.write_root_file(u"DriveManifest.xml", copy_of_manifest);
    checkpointer.make(Checkpointer::Kind::kLast, state);
    writer.close();
    manifest::write_drive_info(context_.job.directory.drive_info(drive_.drive_id),
                               {.drive_id = drive_.drive_id, .manifest_md5_hex = summary.md5_hex});
    context_.journal.set_manifest(drive_.drive_id, {summary.md5_hex, summary.bytes});
  }

  CopyHooks hooks() {
    CopyHooks hooks;
    hooks.on_files = [this](std::uint64_t files) { progress_.add_files(files); };
    hooks.on_small_bytes = [this](std::uint64_t bytes) { progress_.add_bytes(bytes); };
    hooks.on_failure = [this](const journal::Failure& failure) {
      context_.log.error("drive {}: {} ({})", drive_.drive_id, failure.message, failure.code);
    };
    return hooks;
  }

  std::vector<std::uint64_t> failed_before() const {
    constexpr std::size_t kPage = 1000;
    std::vector<std::uint64_t> numbers;
    for (std::uint64_t first = 0;;) {
      const std::vector<journal::Failure> page =
          context_.journal.failures(drive_.drive_id, first, kPage);
      for (const journal::Failure& failure : page) numbers.push_back(failure.file);
      if (page.size() < kPage) return numbers;
      first = numbers.back() + 1;
    }
  }

  DriveMonitor::Hooks monitor_hooks() {
    DriveMonitor::Hooks hooks = sensors_of(*armed_);
    const std::string& id = drive_.drive_id;
    hooks.warn = [this, id](const std::string& what) {
      context_.log.warn("drive {}: {}", id, what);
    };
    hooks.stalled = [this, id](const std::string& what) {
      context_.log.error("drive {}: stalled: {}", id, what);
      try {
        keys::record(context_.journal, "drive-stalled", id, {{"what", what}});
      } catch (const Error& error) {
        context_.log.error("drive {}: {}", id, error.what());
      }
    };
    return hooks;
  }

  const PrepareContext& context_;
  const std::size_t index_;
  const guard::VettedDrive& vetted_;
  report::DriveProgress& progress_;
  plan::PlanStore plan_;
  const plan::DrivePlan& drive_;
  journal::VolumeFacts facts_;
  std::optional<guard::ArmedDrive> armed_;
  std::unique_ptr<DriveMonitor> monitor_;
  std::unique_ptr<DriveSession> session_;
  std::unique_ptr<manifest::HashSpoolWriter> spool_;  // none when the manifest is made
};

// A lock, a key, or something of the job that is missing says nothing about the drive.
bool drive_at_fault(const Error& error) {
  return error.kind() == ErrorKind::kWrite || error.kind() == ErrorKind::kVerification ||
         error.kind() == ErrorKind::kInternal;
}

// Before anything is written a drive stays what it was; afterwards it may have failed.
void record_failure(const PrepareContext& context, DriveOutcome& outcome) {
  try {
    const std::optional<journal::Drive> drive = context.journal.drive(outcome.drive_id);
    if (!drive) return;
    outcome.state = drive->state;
    if (drive->state != DriveState::kPlanned && drive_at_fault(*outcome.error)) {
      const std::string detail = outcome.error->code() + ": " + outcome.error->what();
      try {
        context.journal.set_state(outcome.drive_id, DriveState::kFailed, detail);
      } catch (const Error& error) {
        if (error.code() != "job-directory-full") throw;
        context.journal.reuse_log();
        context.journal.set_state(outcome.drive_id, DriveState::kFailed, detail);
      }
      outcome.state = DriveState::kFailed;
    }
  } catch (const Error& error) {
    context.log.error("drive {}: the failure could not be recorded: {}", outcome.drive_id,
                      error.what());
  }
}

}  // namespace

DriveOutcome prepare_drive(const PrepareContext& context, std::size_t drive_index,
                           const guard::VettedDrive& vetted, report::DriveProgress& progress) {
  DriveOutcome outcome;
  outcome.drive_id = progress.drive_id();
  try {
    DrivePreparation(context, drive_index, vetted, progress).run(outcome);
  } catch (const Error& error) {
    outcome.error = error;
  } catch (const std::exception& error) {
    outcome.error.emplace(ErrorKind::kInternal, "internal",
                          "drive " + outcome.drive_id + ": " + error.what());
  }
  if (outcome.error) {
    context.log.error("drive {}: {} ({})", outcome.drive_id, outcome.error->what(),
                      outcome.error->code());
    if (outcome.state != DriveState::kIncomplete && outcome.state != DriveState::kFailed) {
      record_failure(context, outcome);
    }
  }
  progress.begin(outcome.state == DriveState::kFinished     ? report::Phase::kDone
                 : outcome.stopped                          ? report::Phase::kStopped
                 : outcome.state == DriveState::kIncomplete ? report::Phase::kIncomplete
                                                            : report::Phase::kFailed);
  return outcome;
}

bool failed_verification(const journal::Drive& drive) {
  return drive.verification && drive.verification->result != "ok";
}

std::optional<guard::Consent::Begun> begun_before(const std::optional<journal::Drive>& drive) {
  if (!drive || !drive->identity || failed_verification(*drive)) return std::nullopt;
  guard::Consent::Begun begun;
  begun.identity = drive->identity->text;
  if (drive->volume) begun.disk_guid = drive->volume->disk;
  return begun;
}

}  // namespace driveprep::prepare

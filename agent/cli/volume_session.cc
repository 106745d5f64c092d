#include "agent/cli/volume_session.h"

#include <algorithm>
#include <utility>

#include "agent/cli/job_session.h"
#include "agent/cli/key_session.h"
#include "agent/cli/output.h"
#include "agent/journal/job_lock.h"
#include "agent/keys/audit.h"
#include "agent/keys/drive_envelope.h"
#include "agent/prepare/drive_preparation.h"
#include "agent/report/progress_display.h"
#include "agent/volume/key_input.h"
#include "base/human_text.h"
#include "bitlocker/protector.h"

namespace driveprep::cli {
namespace {

using bitlocker::Credential;
using bitlocker::ProtectorClass;

// A job directory that cannot be written to, or is at work, does not keep a volume from being read.
void record_opening(const job::Job& job, const std::string& drive, const std::string& kid) {
  try {
    const journal::JobLock lock(job.directory.root());
    const auto journal =
        journal::Journal::open(job.directory.root(), journal::Journal::Access::kReadWrite);
    keys::record(*journal, keys::kEnvelopeOpened, drive, {{"key", kid}, {"why", "volume"}});
  } catch (const Error& error) {
    note(std::string("warning: the opening of the envelope is not recorded in the job: ") +
         error.what());
  }
}

Credential envelope_key(const std::string& job_directory, const std::string& drive) {
  if (job_directory.empty() || drive.empty()) {
    throw Error(ErrorKind::kUsage, "key-options", "--job and --drive belong together",
                "Name the job directory and the id of the drive.");
  }
  const job::Job job = job::load_job_for_keys(job_directory);
  const std::unique_ptr<journal::Journal> journal = open_begun(job.directory);
  const std::optional<journal::Drive> known = journal->drive(drive);
  if (!known) {
    throw Error(ErrorKind::kUsage, "drive-unknown", "this job has no drive " + drive,
                "driveprep status " + job_directory + " lists the drives of the job.");
  }
  keys::JobKeys keys(job, key_operator());
  keys::DriveKey key = keys::open_drive_envelope(job.directory, journal->job()->id, drive,
                                                 known->state, keys.ring());
  record_opening(job, drive, key.kid);
  return std::move(key.password);
}

// `opened`: what says which copies its key's holder signed.
void warn_of_damage(const ExaminedVolume& volume, const bitlocker::OpenedVolume& opened) {
  const bitlocker::VolumeFacts& facts = volume.facts;
  if (const std::uint64_t missing =
          bitlocker::missing_bytes(opened.metadata, volume.device().size())) {
    note("warning: " + printable(volume.device().name()) + " is cut off: the last " +
         human_bytes(missing) + " of the volume are missing");
  }
  if (facts.header.kind == bitlocker::VolumeKind::kNone) {
    note("warning: the volume header is lost; the metadata was found by search");
  }
  for (std::size_t i = 0; i < facts.copies.size(); ++i) {
    if (facts.copies[i].sound()) continue;
    note("warning: metadata copy " + std::to_string(i + 1) +
         " is not usable: " + facts.copies[i].fault);
  }
  if (facts.copies_agree() || opened.integrity != bitlocker::Integrity::kGood) return;
  bool forged = false;
  for (std::size_t i = 0; i < facts.copies.size(); ++i) {
    const bitlocker::CopyFacts& copy = facts.copies[i];
    if (!copy.sound() ||
        bitlocker::check_integrity(*copy.metadata, opened.vmk) == bitlocker::Integrity::kGood) {
      continue;
    }
    forged = true;
    note("warning: metadata copy " + std::to_string(i + 1) +
         " was changed by somebody who did not hold the volume's key; it is not used");
  }
  if (!forged) {
    note("warning: the metadata copies differ: a change of the protectors was interrupted");
  }
}

}  // namespace

std::optional<Credential> given_key(const VolumeKeyOptions& options) {
  const bool from_job = !options.job.empty() || !options.drive.empty();
  const int given = !options.recovery_password_file.empty() + !options.password_file.empty() +
                    !options.bek_file.empty() + from_job;
  if (given > 1) {
    throw Error(ErrorKind::kUsage, "key-options", "more than one key was given",
                "Give one of --recovery-password-file, --password-file, --bek-file, or --job and "
                "--drive.");
  }
  if (!options.recovery_password_file.empty()) {
    return volume::read_recovery_password(options.recovery_password_file);
  }
  if (!options.password_file.empty()) {
    return bitlocker::PasswordCredential{volume::read_key_text(options.password_file)};
  }
  if (!options.bek_file.empty()) {
    return bitlocker::ExternalKeyCredential{volume::read_key_file(options.bek_file)};
  }
  if (from_job) return envelope_key(options.job, options.drive);
  return std::nullopt;
}

bool has_clear_key(const bitlocker::VolumeFacts& facts) {
  const bitlocker::CopyFacts* copy = facts.newest();
  return copy != nullptr && bitlocker::has_clear_key(copy->metadata->entries);
}

ExaminedVolume::ExaminedVolume(const VolumeOptions& options, volume::Access access)
    : target({options.target, options.partition}, access) {
  bitlocker::ExamineOptions how;
  if (!options.search) {
    how.search = bitlocker::Search::kLikely;
    facts = bitlocker::examine(target.volume(), how);
    return;
  }
  // Takes as long as reading the drive.
  report::DriveProgress progress("volume");
  progress.begin(report::Phase::kSearching, target.volume().size());
  std::uint64_t shown = 0;
  how.search = bitlocker::Search::kEverywhere;
  how.on_progress = [&](std::uint64_t done, std::uint64_t) {
    progress.add_bytes(done - shown);
    shown = done;
    return true;
  };
  const report::ProgressDisplay display({&progress}, options.json
                                                         ? report::ProgressStyle::kJson
                                                         : report::progress_style_for_stderr());
  facts = bitlocker::examine(target.volume(), how);
}

bitlocker::OpenedVolume open_examined(const ExaminedVolume& volume, const VolumeOptions& options) {
  std::optional<Credential> key = given_key(options.key);
  if (!key && has_clear_key(volume.facts)) key = bitlocker::ClearKeyCredential{};
  if (!key) {
    key = volume::credential_from_typed(volume::ask_secret(
        "Password or recovery password of " + printable(volume.device().name()) + ": "));
  }
  bitlocker::OpenOptions how;
  how.accept_wrong_integrity = options.accept_wrong_integrity;
  bitlocker::OpenedVolume opened = bitlocker::open_volume(volume.device(), volume.facts, *key, how);
  warn_of_damage(volume, opened);
  if (opened.has_clear_key) {
    note(
        "warning: protection is suspended: a key lies open on the volume, and anybody can read it");
  }
  if (opened.integrity != bitlocker::Integrity::kGood) {
    note("warning: the metadata was changed by somebody who did not hold its key; read on request");
  }
  return opened;
}

nlohmann::ordered_json volume_head(const volume::Target& target) {
  nlohmann::ordered_json document = {{"schema", 1}, {"target", target.device().name()}};
  document["partition"] = target.partition() ? nlohmann::ordered_json(*target.partition())
                                             : nlohmann::ordered_json(nullptr);
  document["offset"] = target.range().offset;
  document["length"] = target.range().length;
  return document;
}

nlohmann::ordered_json volume_head(const ExaminedVolume& volume) {
  return volume_head(volume.target);
}

std::string protector_word(ProtectorClass kind) {
  switch (kind) {
    case ProtectorClass::kClearKey: return "clear-key";
    case ProtectorClass::kTpm: return "tpm";
    case ProtectorClass::kExternalKey: return "external-key";
    case ProtectorClass::kTpmAndPin: return "tpm-and-pin";
    case ProtectorClass::kRecoveryPassword: return "recovery-password";
    case ProtectorClass::kPublicKey: return "certificate";
    case ProtectorClass::kPassword: return "password";
  }
  return "unknown";
}

ProtectorClass protector_kind(const std::string& word) {
  for (const ProtectorClass kind : {ProtectorClass::kRecoveryPassword, ProtectorClass::kPassword,
                                    ProtectorClass::kExternalKey}) {
    if (protector_word(kind) == word) return kind;
  }
  throw Error(ErrorKind::kUsage, "protector-kind",
              "there is no kind of protector \"" + printable(word) + "\"",
              "Give recovery-password, password or external-key.");
}

}  // namespace driveprep::cli

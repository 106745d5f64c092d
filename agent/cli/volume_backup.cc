#include <filesystem>

#include "agent/cli/job_session.h"
#include "agent/cli/key_session.h"
#include "agent/cli/output.h"
#include "agent/cli/secret_output.h"
#include "agent/cli/volume_session.h"
#include "agent/journal/job_lock.h"
#include "agent/volume/key_input.h"
#include "base/directories.h"
#include "base/encoding.h"
#include "base/posix.h"
#include "bitlocker/metadata_backup.h"
#include "keywrap/envelope.h"

namespace driveprep::cli {
namespace {

constexpr std::uint64_t kLargestBackup = 256 * kKiB;
constexpr std::size_t kConfirmDigits = 8;

// The job whose key seals the backup, and the drive that it is filed under.
struct Sealing {
  job::Job job;
  std::string job_id;
  std::unique_ptr<keys::JobKeys> keys;
  keywrap::Binding binding;

  explicit Sealing(const VolumeKeyOptions& options)
      : job(job::load_job_for_keys(options.job)),
        job_id(open_begun(job.directory)->job()->id),
        keys(std::make_unique<keys::JobKeys>(job, key_operator())),
        binding{job_id, options.drive, keywrap::Purpose::kVolumeMetadata} {
    if (job::is_valid_drive_id(options.drive)) return;
    throw Error(ErrorKind::kUsage, "drive-unknown",
                "\"" + printable(options.drive) + "\" can be no drive's id",
                "Give letters, digits, '.', '_' and '-'.");
  }

  // The version that wraps now; the lock is held while that is decided.
  std::string wrapping_kid() const {
    const journal::JobLock lock(job.directory.root());
    const auto journal =
        journal::Journal::open(job.directory.root(), journal::Journal::Access::kReadWrite);
    const keys::ReadyKey ready =
        keys::ready_key(*keys, journal.get(), {job.spec.encryption.profile}, false);
    const keys::KeyChange used = keys::use_key(*keys, *journal, ready);
    tell_of_change(*keys, used);
    return used.new_kid;
  }

  std::filesystem::path file(const std::string& named) const {
    return named.empty() ? job.directory.drive(binding.drive) / "volume-metadata.jwe.json"
                         : std::filesystem::path(named);
  }
};

// The backup as text, in locked memory.
SecretBytes text_of(const bitlocker::MetadataBackup& backup) {
  std::string encoded = base64url(bitlocker::serialise(backup).span());
  SecretBytes text = SecretBytes::copy_of(encoded);
  wipe(encoded);
  return text;
}

bitlocker::MetadataBackup backup_in(const keywrap::Opened& opened) {
  std::optional<Bytes> raw = from_base64url(opened.payload.value.text());
  const SecretBytes bytes = SecretBytes::copy_of(ByteView(raw ? *raw : Bytes()));
  if (raw) wipe(*raw);
  return bitlocker::parse_metadata_backup(bytes);
}

// The id that has to be named: the first digits of the volume's GUID, as in the backup.
void confirm(const RestoreOptions& options, const ExaminedVolume& volume, const Guid& id) {
  const std::string digits = id.lower().substr(0, kConfirmDigits);
  if (options.confirm == digits || options.confirm == id.lower()) return;
  if (!options.confirm.empty()) {
    throw Error(ErrorKind::kNotConfirmed, "restore-wrong-confirmation",
                "the backup is of volume " + id.lower() + ", not of " + options.confirm,
                "Look again whether this is the right backup and the right drive.");
  }
  throw Error(ErrorKind::kNotConfirmed, "restore-not-confirmed",
              "restoring writes the header and the metadata of volume " + id.lower() +
                  " over what " + volume.device().name() + " holds in their places",
              "If that is the right place, run the command again with --confirm " + digits + ".");
}

// What is sound on the drive and says something else is not lost unasked.
void check_present(const RestoreOptions& options, const ExaminedVolume& volume,
                   const bitlocker::Metadata& saved) {
  const bitlocker::CopyFacts* present = volume.facts.newest();
  if (present == nullptr || options.replace) return;
  if (present->metadata->volume_id != saved.volume_id) {
    throw Error(ErrorKind::kRefused, "restore-other-volume",
                volume.device().name() + " holds another volume (" +
                    present->metadata->volume_id.lower() + "), whose metadata is sound",
                "Name the right drive; or give --replace, which destroys that volume.");
  }
  if (present->metadata->next_nonce > saved.next_nonce) {
    throw Error(
        ErrorKind::kRefused, "restore-older",
        "the metadata on " + volume.device().name() +
            " is newer than the backup: its protectors were changed since, or one copy "
            "was forged",
        "Look with driveprep volume info and a key whether the newest copy is signed. If it "
        "is, make a new backup; --replace brings the old metadata back.");
  }
}

}  // namespace

int run_backup_metadata(const BackupOptions& options) {
  const ExaminedVolume volume(options, volume::Access::kRead);
  const Sealing sealing(options.key);
  if (!volume.facts.copies_agree()) {
    // Without a key nobody can tell which of them is to be trusted.
    throw Error(ErrorKind::kVerification, "bitlocker-copies-differ",
                "the metadata copies of " + volume.device().name() +
                    " differ: a change of the protectors was interrupted, or one was forged",
                "Look with driveprep volume info and a key which are signed; a change of the "
                "protectors with that key makes them the same again.");
  }
  const bitlocker::MetadataBackup backup =
      bitlocker::back_up_metadata(volume.device(), volume.facts);
  const std::string kid = sealing.wrapping_kid();
  const keywrap::Payload payload{text_of(backup), backup.volume_id(), FileTime::now()};
  const std::string sealed = keywrap::seal(sealing.binding, payload, sealing.keys->ring(), kid);
  if (options.output.empty()) {
    create_directories_durably(sealing.job.directory.drive(options.key.drive), ErrorKind::kWrite);
  }
  SecretFile file(sealing.file(options.output), as_bytes(sealed));
  file.keep();
  if (backup.relocated.empty()) {
    note("warning: the relocated first bytes of the file system are too many for the backup");
  }
  if (options.json) {
    nlohmann::ordered_json document = volume_head(volume);
    document.update({{"volume_guid", backup.volume_id().lower()},
                     {"backup", file.path().string()},
                     {"key", kid},
                     {"relocated_bytes", backup.relocated.size()}});
    print_json(document);
  } else {
    print("Header and metadata of volume " + backup.volume_id().lower() + " are in " +
          printable(file.path().string()) + ", sealed under the key " + kid + ".");
  }
  return 0;
}

int run_restore_metadata(const RestoreOptions& options) {
  const Sealing sealing(options.key);
  const std::filesystem::path file = sealing.file(options.input);
  const std::string sealed = posix::read_file(file, kLargestBackup, ErrorKind::kKey);
  const keywrap::Opened opened = keywrap::open(sealed, sealing.binding, sealing.keys->ring());
  for (const std::string& warning : opened.warnings) note("warning: " + warning);
  const bitlocker::MetadataBackup backup = backup_in(opened);

  ExaminedVolume volume(options, volume::Access::kWrite);
  check_present(options, volume, bitlocker::parse_metadata(backup.metadata.span()));
  confirm(options, volume, backup.volume_id());
  bitlocker::restore_metadata(volume.target.volume(), backup);
  if (options.json) {
    nlohmann::ordered_json document = volume_head(volume);
    document.update({{"volume_guid", backup.volume_id().lower()}, {"restored", true}});
    print_json(document);
  } else {
    print("Header and metadata of volume " + backup.volume_id().lower() + " are back on " +
          printable(volume.device().name()) + ".");
  }
  return 0;
}

}  // namespace driveprep::cli

#include "agent/prepare/volume_creation.h"

#include <unistd.h>

#include <algorithm>
#include <future>
#include <utility>

#include <nlohmann/json.hpp>

#include "agent/prepare/password_file.h"
#include "base/atomic_file.h"
#include "base/directories.h"
#include "base/posix.h"
#include "base/system_error.h"
#include "bitlocker/create.h"
#include "drive/layout/gpt.h"
#include "drive/layout/wipe.h"
#include "drive/ntfs/format.h"
#include "keywrap/envelope.h"

namespace driveprep::prepare {
namespace {

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

// As Windows describes a volume: computer, label, date.
std::string description(const job::JobSpec& spec) {
  if (!spec.bitlocker.description.empty()) return spec.bitlocker.description;
  return host_name() + " " + spec.session + " " + FileTime::now().iso8601().substr(0, 10);
}

bitlocker::Cipher cipher_of(const job::JobSpec& spec) {
  return bitlocker::cipher_from_name(job::to_string(spec.bitlocker.cipher)).value();
}

// What an earlier attempt at this drive has left: it would tell of a volume that is gone.
void remove_leftovers(const std::filesystem::path& directory) {
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name == "DriveManifest.xml" || name == "DriveInfo.xml" || name == "hashes.spool" ||
        name.ends_with(".BEK")) {
      std::filesystem::remove(entry.path());
    }
  }
}

struct NewKeys {
  bitlocker::NewVolume volume;
  std::string envelope;  // of its recovery password
};

// Takes seconds of one core: every protector stretches its key, and so does the key store.
NewKeys make_keys(const PrepareContext& context, const std::string& drive_id) {
  const job::JobSpec& spec = context.job.spec;
  const bitlocker::RecoveryPassword recovery_password = bitlocker::RecoveryPassword::random();
  bitlocker::NewVolume volume({
      .cipher = cipher_of(spec),
      .recovery_password = recovery_password,
      .password = read_password(spec),
      .external_key = spec.bitlocker.external_key,
      .description = description(spec),
  });
  keywrap::Payload payload;
  payload.value = SecretBytes::copy_of(recovery_password.text());
  payload.protector_id = volume.recovery_protector();
  payload.created = FileTime::now();
  std::string envelope =
      keywrap::seal({context.job_id, drive_id, keywrap::Purpose::kRecoveryPassword}, payload,
                    context.keys, context.kid);
  return {std::move(volume), std::move(envelope)};
}

void store_keys(const PrepareContext& context, const std::string& drive_id,
                const std::string& envelope, const bitlocker::CreatedVolume& created) {
  write_file_atomically(context.job.directory.envelope(drive_id), as_bytes(envelope), 0600);
  if (created.external_key) {
    write_file_atomically(context.job.directory.drive(drive_id) / created.external_key->name,
                          created.external_key->content.span(), 0600);
  }
}

}  // namespace

NewDrive create_drive(const PrepareContext& context, const plan::DrivePlan& plan,
                      guard::ArmedImage& image, const std::string& destroys) {
  const job::JobSpec& spec = context.job.spec;
  const std::string& id = plan.drive_id;
  block::FileDevice& disk = image.device();
  const ByteRange partition = layout::partition_range(disk.size());
  const SectorSize sector = disk.sector_size();

  ntfs::FormatRequest format;
  format.volume_bytes = partition.length;
  format.sector = sector;
  format.partition_start = Lba{partition.offset / sector.bytes()};
  format.label = spec.session;

  std::future<NewKeys> keys =
      std::async(std::launch::async, [&] { return make_keys(context, id); });
  const ntfs::FormattedVolume formatted = ntfs::format_volume(format);
  bitlocker::VolumeLayout layout = bitlocker::place_metadata(
      partition.length, sector, formatted.geometry().cluster_size, formatted.occupied());
  NewKeys made_keys = keys.get();
  bitlocker::CreatedVolume created = std::move(made_keys.volume).place(layout);

  layout::GptRequest table;
  table.disk_guid = Guid::random();
  table.partition_guid = Guid::random();

  NewDrive made;
  made.free_clusters = formatted.free_clusters();
  made.facts.disk = table.disk_guid;
  made.facts.partition = table.partition_guid;
  made.facts.partition_offset = partition.offset;
  made.facts.partition_length = partition.length;
  made.facts.cipher = std::string(bitlocker::to_string(cipher_of(spec)));
  made.facts.cluster_size = formatted.geometry().cluster_size;
  made.facts.metadata_offsets = layout.metadata;
  made.facts.header_backup_offset = layout.header_backup;
  made.facts.d_offset = layout.reserved.value_or(0);
  made.facts.volume = created.volume_id;
  made.facts.recovery_protector = created.recovery_protector;
  made.facts.ntfs_serial = formatted.geometry().serial;
  made.facts.envelope_kid = context.kid;

  remove_leftovers(context.job.directory.drive(id));
  // The key is safe before anything depends on it, and what is known before it is true: a run that
  // dies from here on starts this drive over, with new keys.
  in_job_directory([&] { store_keys(context, id, made_keys.envelope, created); });
  context.journal.reset_drive(id, "being prepared");
  context.journal.set_identity(
      id, {image.identity().device, image.identity().inode, image.identity().size, sector.bytes()});
  context.journal.set_state(id, journal::DriveState::kWriting, "wiping and formatting");
  const nlohmann::ordered_json begun = {{"target", disk.name()},
                                        {"destroys", destroys},
                                        {"key", context.kid},
                                        {"volume", made.facts.volume.lower()}};
  context.journal.add_event("drive-begun", id, begun.dump());
  context.log.info("drive {}: key wrapped under {}, wiping {} ({})", id, context.kid, disk.name(),
                   destroys);

  const std::filesystem::path saved_headers = context.job.directory.drive(id) / "before";
  in_job_directory([&] { create_directories_durably(saved_headers, ErrorKind::kWrite); });
  std::filesystem::permissions(saved_headers, std::filesystem::perms::owner_all);
  layout::wipe_disk(disk, saved_headers);
  layout::write_gpt(disk, table);
  context.journal.set_volume(id, made.facts);

  auto sectors = std::make_shared<const bitlocker::SectorCipher>(cipher_of(spec),
                                                                 std::move(created.fvek), sector);
  made.session =
      std::make_unique<DriveSession>(image, made.facts, std::move(layout), std::move(sectors),
                                     context.job.directory.drive(id) / "redo");
  block::Slice& volume = made.session->partition();
  bitlocker::erase_volume_header(volume);
  bitlocker::write_metadata(volume, made.session->layout(), created.metadata);
  formatted.copy_to(made.session->volume());
  if (const std::optional<std::uint64_t> reserved = made.session->layout().reserved) {
    // Windows keeps it for later use: encrypted zeros, and nothing of what the disk held before.
    block::AlignedBuffer zeros(bitlocker::kReservedSize);
    std::ranges::fill(zeros.span(), std::byte{0});
    made.session->volume().write(*reserved, zeros.span());
  }
  volume.flush();
  return made;
}

}  // namespace driveprep::prepare

#include "agent/prepare/volume_creation.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "agent/keys/audit.h"
#include "agent/prepare/password_file.h"
#include "agent/volume/empty_volume.h"
#include "base/atomic_file.h"
#include "base/directories.h"
#include "base/posix.h"
#include "base/system_error.h"
#include "drive/layout/gpt.h"
#include "drive/layout/wipe.h"
#include "keywrap/envelope.h"

namespace driveprep::prepare {
namespace {

std::string description(const job::JobSpec& spec) {
  return spec.bitlocker.description.empty() ? volume::default_description(spec.session)
                                            : spec.bitlocker.description;
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

// Takes seconds of one core: every protector stretches its key, and so does the key store.
// `envelope` becomes that of the recovery password.
bitlocker::NewVolume make_keys(const PrepareContext& context, const std::string& drive_id,
                               std::string& envelope) {
  const job::JobSpec& spec = context.job.spec;
  const bitlocker::RecoveryPassword recovery_password = bitlocker::RecoveryPassword::random();
  bitlocker::NewVolume volume({
      .cipher = cipher_of(spec),
      .recovery_password = &recovery_password,
      .password = read_password(spec),
      .external_key = spec.bitlocker.external_key,
      .description = description(spec),
  });
  keywrap::Payload payload;
  payload.value = SecretBytes::copy_of(recovery_password.text());
  payload.protector_id = volume.recovery_protector().value();
  payload.created = FileTime::now();
  envelope = keywrap::seal({context.job_id, drive_id, keywrap::Purpose::kRecoveryPassword}, payload,
                           context.keys, context.kid);
  return volume;
}

void store_keys(const PrepareContext& context, const std::string& drive_id,
                const std::string& envelope, const bitlocker::CreatedVolume& created) {
  write_file_atomically(context.job.directory.envelope(drive_id), as_bytes(envelope), 0600);
  if (created.external_key) {
    write_file_atomically(context.job.directory.drive(drive_id) / created.external_key->name,
                          created.external_key->content.span(), 0600);
  }
}

// For the audit trail: which disk it was, by whose word, and what was accepted of it.
nlohmann::ordered_json who_it_is(const guard::DiskCase& disk) {
  const inventory::DriveIdentity identity = disk.disk.identity();
  const auto value = [](const std::optional<inventory::Statement>& told) {
    return told ? nlohmann::ordered_json(told->value) : nlohmann::ordered_json(nullptr);
  };
  // A number that the drive has not told itself is the operator's.
  const bool own = identity.trust == inventory::Trust::kStrong;
  return {{"serial", own ? identity.serial->value : disk.request.drive_id},
          {"serial_source", own ? inventory::to_string(identity.serial->source)
                                : inventory::to_string(inventory::Source::kOperator)},
          {"told", value(identity.serial)},
          {"model", value(identity.model)},
          {"wwn", value(identity.wwn)},
          {"bus_path", disk.disk.bus_path},
          {"accepted", disk.request.accepted}};
}

}  // namespace

NewDrive create_drive(const PrepareContext& context, const plan::DrivePlan& plan,
                      guard::ArmedDrive& target, const std::string& destroys) {
  const job::JobSpec& spec = context.job.spec;
  const std::string& id = plan.drive_id;
  block::FileDevice& disk = target.device();
  const ByteRange partition = layout::partition_range(disk.size());
  const SectorSize sector = disk.sector_size();

  ntfs::FormatRequest format;
  format.volume_bytes = partition.length;
  format.sector = sector;
  format.partition_start = Lba{partition.offset / sector.bytes()};
  format.label = spec.session;

  std::string envelope;
  volume::EmptyVolume empty =
      volume::make_empty_volume(format, [&] { return make_keys(context, id, envelope); });
  const bitlocker::VolumeLayout& layout = empty.layout;
  const ntfs::Geometry& geometry = empty.formatted.geometry();

  layout::GptRequest table;
  table.disk_guid = Guid::random();
  table.partition_guid = Guid::random();

  NewDrive made;
  made.free_clusters = empty.formatted.free_clusters();
  made.facts.disk = table.disk_guid;
  made.facts.partition = table.partition_guid;
  made.facts.partition_offset = partition.offset;
  made.facts.partition_length = partition.length;
  made.facts.cipher = std::string(bitlocker::to_string(cipher_of(spec)));
  made.facts.cluster_size = geometry.cluster_size;
  made.facts.metadata_offsets = layout.metadata;
  made.facts.header_backup_offset = layout.header_backup;
  made.facts.d_offset = layout.reserved.value_or(0);
  made.facts.volume = empty.created.volume_id;
  made.facts.recovery_protector = empty.created.recovery_protector.value();
  made.facts.ntfs_serial = geometry.serial;
  made.facts.envelope_kid = context.kid;

  remove_leftovers(context.job.directory.drive(id));
  // The key is safe before anything depends on it, and what is known before it is true: a run that
  // dies from here on starts this drive over, with new keys.
  in_job_directory([&] { store_keys(context, id, envelope, empty.created); });
  context.journal.reset_drive(id, "being prepared");
  context.journal.set_identity(id, {target.identity(), disk.size(), sector.bytes()});
  context.journal.set_state(id, journal::DriveState::kWriting, "wiping and formatting");
  nlohmann::ordered_json begun = {{"target", disk.name()},
                                  {"identity", target.identity()},
                                  {"destroys", destroys},
                                  {"key", context.kid},
                                  {"volume", made.facts.volume.lower()}};
  if (target.is_disk()) begun["disk"] = who_it_is(target.candidate().disk());
  keys::record(context.journal, "drive-begun", id, begun);
  context.log.info("drive {}: key wrapped under {}, wiping {} ({})", id, context.kid, disk.name(),
                   destroys);

  const std::filesystem::path saved_headers = context.job.directory.drive(id) / "before";
  in_job_directory([&] { create_directories_durably(saved_headers, ErrorKind::kWrite); });
  std::filesystem::permissions(saved_headers, std::filesystem::perms::owner_all);
  layout::wipe_disk(disk, saved_headers);
  layout::write_gpt(disk, table);
  context.journal.set_volume(id, made.facts);

  auto sectors = std::make_shared<const bitlocker::SectorCipher>(
      cipher_of(spec), std::move(empty.created.fvek), sector);
  made.session = std::make_unique<DriveSession>(target, made.facts, layout, std::move(sectors),
                                                context.job.directory.drive(id) / "redo");
  volume::write_empty_volume(empty, made.session->structures(), made.session->volume());
  return made;
}

}  // namespace driveprep::prepare

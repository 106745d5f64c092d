#include "agent/prepare/drive_session.h"

#include <utility>

namespace driveprep::prepare {

DriveSession::DriveSession(guard::ArmedDrive& target, const journal::VolumeFacts& facts,
                           bitlocker::VolumeLayout layout,
                           std::shared_ptr<const bitlocker::SectorCipher> cipher,
                           const std::filesystem::path& redo_file)
    : layout_(std::move(layout)),
      partition_(target.device(), {facts.partition_offset, facts.partition_length},
                 target.device().name() + " (partition 1)"),
      remembered_(partition_),
      redo_(remembered_, redo_file),
      volume_(redo_, layout_, std::move(cipher)) {}

std::optional<std::uint64_t> DriveSession::lost_structure(const block::ReadableDevice& disk) {
  const block::ReadableSlice place(disk, partition_.range(), partition_.name());
  const std::optional<std::uint64_t> lost = remembered_.first_difference(place);
  if (!lost) remembered_.forget();
  return lost;
}

bitlocker::VolumeLayout layout_of(const journal::VolumeFacts& facts, SectorSize sector) {
  bitlocker::VolumeLayout layout;
  layout.volume_size = facts.partition_length;
  layout.sector_size = sector;
  layout.cluster_size = facts.cluster_size;
  layout.metadata = facts.metadata_offsets;
  layout.header_backup = facts.header_backup_offset;
  layout.reserved = facts.d_offset;
  return layout;
}

}  // namespace driveprep::prepare

// One drive, open for preparation: the armed target and the devices stacked on it.
//
//   ArmedDrive ─ Slice (partition) ─ RememberingDevice ─┬─ RedoDevice ─ EncryptedDevice ─ metadata
//                                    (unremembered)     └─ ciphertext of file data
//
// File data is found again by its hashes. Of what the file system and BitLocker consist of much is
// missed by no reader, and is read back for its own sake.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "agent/journal/journal.h"
#include "bitlocker/encrypted_device.h"
#include "bitlocker/recovery_password.h"
#include "drive/block/redo_device.h"
#include "drive/block/remembering_device.h"
#include "drive/guard/drive_target.h"

namespace driveprep::prepare {

class DriveSession {
 public:
  // `layout` and `cipher`: of the volume in the partition that `facts` describes.
  DriveSession(guard::ArmedDrive& target, const journal::VolumeFacts& facts,
               bitlocker::VolumeLayout layout,
               std::shared_ptr<const bitlocker::SectorCipher> cipher,
               const std::filesystem::path& redo_file);
  DriveSession(const DriveSession&) = delete;
  DriveSession& operator=(const DriveSession&) = delete;

  // For what BitLocker and the file system consist of, in its ciphertext: remembered.
  block::BlockDevice& structures() { return remembered_; }
  // For file data in its ciphertext.
  block::BlockDevice& bulk() { return remembered_.unremembered(); }
  block::RedoDevice& redo() { return redo_; }
  bitlocker::EncryptedDevice& volume() { return volume_; }
  const bitlocker::VolumeLayout& layout() const { return layout_; }

  // Reads the structures back that were written through this object since it was made, or since the
  // last call that found them all. `disk`: the whole one, by a way of its own. Where the first one
  // is lost, a byte of the partition.
  std::optional<std::uint64_t> lost_structure(const block::ReadableDevice& disk);

 private:
  bitlocker::VolumeLayout layout_;
  block::Slice partition_;
  block::RememberingDevice remembered_;
  block::RedoDevice redo_;
  bitlocker::EncryptedDevice volume_;
};

// Where the layout of a volume is kept in the journal, and back.
bitlocker::VolumeLayout layout_of(const journal::VolumeFacts& facts, SectorSize sector);

}  // namespace driveprep::prepare

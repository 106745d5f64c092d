// One drive, open for preparation: the armed target and the devices stacked on it.
//
//   ArmedDrive ─ Slice (partition) ─┬─ RedoDevice ─ EncryptedDevice ─ NTFS metadata
//                                   └─ ciphertext of file data
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "agent/journal/journal.h"
#include "bitlocker/encrypted_device.h"
#include "bitlocker/recovery_password.h"
#include "drive/block/redo_device.h"
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

  block::Slice& partition() { return partition_; }
  block::RedoDevice& redo() { return redo_; }
  bitlocker::EncryptedDevice& volume() { return volume_; }
  const bitlocker::VolumeLayout& layout() const { return layout_; }

 private:
  bitlocker::VolumeLayout layout_;
  block::Slice partition_;
  block::RedoDevice redo_;
  bitlocker::EncryptedDevice volume_;
};

// Where the layout of a volume is kept in the journal, and back.
bitlocker::VolumeLayout layout_of(const journal::VolumeFacts& facts, SectorSize sector);

}  // namespace driveprep::prepare

// Making a new BitLocker volume: keys, protectors and metadata, and writing them in the order that
// makes an unfinished volume never look finished.
//
// Order for a volume in a partition:
//   erase_volume_header    at the start: nothing recognises the partition any more
//   write_metadata         the three copies
//   (NTFS through EncryptedDevice)
//   write_boot_region      the commit: the volume header is the last sector written
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/file_time.h"
#include "base/guid.h"
#include "base/secret_bytes.h"
#include "bitlocker/cipher.h"
#include "bitlocker/external_key.h"
#include "bitlocker/layout.h"
#include "bitlocker/recovery_password.h"
#include "drive/block/block_device.h"

namespace driveprep::bitlocker {

struct VolumeRequest {
  Cipher cipher = Cipher::kXtsAes256;  // one of the four without Elephant
  // At least one of these three.
  const RecoveryPassword* recovery_password = nullptr;
  std::optional<SecretBytes> password{};  // UTF-8, 8 to 256 UTF-16 code units
  bool external_key = false;
  std::string description;  // UTF-8, at most 255 code units: "<computer> <label> <date>"
  FileTime created = FileTime::now();
};

struct CreatedVolume {
  Bytes metadata;  // one copy: 64 KiB; the three copies are the same
  Guid volume_id;
  std::optional<Guid> recovery_protector;
  std::optional<Guid> password_protector;
  std::optional<Guid> external_key_protector;
  Cipher cipher = Cipher::kXtsAes256;
  SecretBytes fvek;
  std::optional<ExternalKeyFile> external_key;
};

// 8 to 256 UTF-16 code units, as Windows has it: else kUsage "bitlocker-password-length", or kKey
// "bitlocker-password-text" for what is not UTF-8. For finding out early; create_volume() looks,
// too.
void check_password(const SecretBytes& utf8);

// The keys and protectors of a volume whose place is not known yet. Making them takes a second or
// more (each protector stretches its key), which can pass while the file system is made.
class NewVolume {
 public:
  // Nothing is written. Errors: those of check_password(); kUsage "bitlocker-description";
  // kInternal for a cipher that is only read.
  explicit NewVolume(const VolumeRequest& request);
  NewVolume(NewVolume&&) noexcept;
  NewVolume& operator=(NewVolume&&) noexcept;
  ~NewVolume();

  // The protector of the recovery password, if one was asked for.
  const std::optional<Guid>& recovery_protector() const;

  // Completes and seals the metadata. `layout`: from place_metadata().
  CreatedVolume place(const VolumeLayout& layout) &&;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Both steps at once.
CreatedVolume create_volume(const VolumeRequest& request, const VolumeLayout& layout);

// Zeros over the first 8 KiB of the partition, flushed.
void erase_volume_header(block::BlockDevice& partition);

// The three copies, the last one first, each flushed before the next is begun: `metadata` is 64
// KiB.
void write_metadata(block::BlockDevice& partition, const VolumeLayout& layout, ByteView metadata);

// What stands before 8 KiB on the finished drive. First random filler over all but the first sector
// and a flush, then the volume header and a flush: when this returns the volume is complete.
// `ntfs_boot_sector`: the plain first sector of the NTFS inside; its geometry is taken over.
void write_boot_region(block::BlockDevice& partition, const VolumeLayout& layout,
                       ByteView ntfs_boot_sector);

// Where the volume header of a finished volume first differs from what write_boot_region() makes of
// the same boot sector and layout, a byte of the sector; nullopt when it does not. Readers go by
// different fields of it: one that opens the volume proves nothing for the others.
std::optional<std::size_t> header_difference(const block::ReadableDevice& partition,
                                             const VolumeLayout& layout, ByteView ntfs_boot_sector);

}  // namespace driveprep::bitlocker

// What brings a volume back whose header and metadata copies were all destroyed: the header's
// sector, the metadata with its wrapped keys, and the relocated first bytes of the file system as
// they stand.
//
// Nothing in it opens the volume without one of its keys, but a clear key of a suspended volume
// would: it is kept under encryption (keywrap/envelope.h).
//
//   0   "DPVMETA1"                      8
//   8   u64 size of the volume          bytes
//   16  u32 size of the header          one sector, 512 or 4096 bytes
//   20  u32 size of the metadata        without the zeros at its end
//   24  u32 size of the relocated part  0: not kept
//   28  header, metadata, relocated part
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/guid.h"
#include "base/secret_bytes.h"
#include "bitlocker/examine.h"
#include "drive/block/block_device.h"

namespace driveprep::bitlocker {

struct MetadataBackup {
  std::uint64_t volume_size = 0;  // of the partition
  SecretBytes header;             // its first sector
  SecretBytes metadata;           // 64 KiB
  SecretBytes relocated;          // ciphertext; empty where it has more than 64 KiB (To Go)

  Guid volume_id() const;
};

// Throws kRefused "not-bitlocker", "bitlocker-header-lost" (also when it does not lead to all
// copies); kVerification "bitlocker-metadata-damaged" when no copy is sound.
MetadataBackup back_up_metadata(const block::ReadableDevice& partition, const VolumeFacts& facts);

SecretBytes serialise(const MetadataBackup& backup);
// Throws kKey "metadata-backup".
MetadataBackup parse_metadata_backup(const SecretBytes& bytes);

// Writes the copies, the last one first, then the relocated part, then the header; each is durable
// before the next is begun: interrupted anywhere, it can be run again. Throws kRefused
// "metadata-backup-size" when the partition has another size, and kVerification
// "metadata-restore-differs" when the volume is not whole afterwards.
void restore_metadata(block::BlockDevice& partition, const MetadataBackup& backup);

}  // namespace driveprep::bitlocker

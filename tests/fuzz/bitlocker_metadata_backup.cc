// A backup of the metadata that is accepted survives serialise and parse, and can be written to a
// partition of its size without a byte going astray.
//
// The checksum of the metadata in the input is put right first: it is no secret, and few inputs
// would get past it otherwise.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "bitlocker/metadata_backup.h"
#include "drive/block/memory_device.h"
#include "tests/fuzz/metadata_checksum.h"

using namespace driveprep;
using namespace driveprep::bitlocker;

namespace {

constexpr std::size_t kHead = 28;
constexpr std::size_t kHeaderSizeAt = 16;
constexpr std::uint64_t kLargestVolume = 1 * kTiB;  // the device in memory is sparse

void repair(MutableByteView bytes) {
  if (bytes.size() < kHead) return;
  ByteReader sizes(ByteView(bytes).subspan(kHeaderSizeAt));
  const std::uint64_t header = sizes.u32();
  const std::uint64_t metadata = sizes.u32();
  if (header > bytes.size() - kHead || metadata > bytes.size() - kHead - header) return;
  fuzz::repair_checksum(bytes.subspan(kHead + header, metadata));
}

bool equal(const MetadataBackup& a, const MetadataBackup& b) {
  return a.volume_size == b.volume_size && a.header == b.header && a.metadata == b.metadata &&
         a.relocated == b.relocated;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  SecretBytes input = SecretBytes::copy_of(std::as_bytes(std::span(data, size)));
  repair(input.span());
  try {
    const MetadataBackup backup = parse_metadata_backup(input);
    if (!equal(parse_metadata_backup(serialise(backup)), backup)) std::abort();
    (void)backup.volume_id();
    if (backup.volume_size > kLargestVolume || backup.volume_size % 4096 != 0) return 0;
    block::MemoryDevice partition(backup.volume_size);
    restore_metadata(partition, backup);
    SecretBytes header(backup.header.size());
    partition.read(0, header.span());
    if (!(header == backup.header)) std::abort();
  } catch (const Error& error) {
    if (error.code() != "metadata-backup" && error.code() != "metadata-restore-differs") {
      std::abort();
    }
  }
  return 0;
}

// Whatever a small volume holds, it is examined and searched without harm, and what opens can be
// read from end to end.
//
//   0    u8 flags: bit 0 no volume header, bits 1 to 3 no copy 1 to 3
//   1    the volume header, 512 bytes
//   513  a metadata copy, put at 64, 128 and 192 KiB; its checksum is put right
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "bitlocker/encrypted_device.h"
#include "bitlocker/open.h"
#include "drive/block/memory_device.h"
#include "tests/fuzz/metadata_checksum.h"

using namespace driveprep;
using namespace driveprep::bitlocker;

namespace {

constexpr std::uint64_t kVolume = 320 * kKiB;
constexpr std::size_t kHeader = 512;

void check(const VolumeFacts& facts) {
  const CopyFacts* newest = facts.newest();
  if ((newest != nullptr) != facts.has_sound_copy()) std::abort();
  for (std::size_t i = 0; i < facts.copies.size(); ++i) {
    const CopyFacts& copy = facts.copies[i];
    if (!copy.sound()) continue;
    if (!copy.metadata || copy.metadata->offsets[i] != copy.offset) std::abort();
    if (copy.offset > kVolume - kMetadataSize) std::abort();
    if (copy.metadata->next_nonce > newest->metadata->next_nonce) std::abort();
    (void)sector_size_of(*copy.metadata);
  }
  (void)facts.copies_agree();
}

void read_all(const block::ReadableDevice& partition, const OpenedVolume& opened) {
  const DecryptedDevice plain(partition, opened.layout, opened.cipher);
  Bytes content(plain.size());
  plain.read(0, content);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 + kHeader) return 0;
  const unsigned flags = data[0];
  const ByteView input = std::as_bytes(std::span(data, size)).subspan(1);
  block::MemoryDevice partition(kVolume);
  if ((flags & 1) == 0) partition.write(0, input.first(kHeader));
  Bytes copy(input.begin() + kHeader, input.end());
  copy.resize(std::min<std::size_t>(copy.size(), kMetadataSize));
  fuzz::repair_checksum(copy);
  for (unsigned slot = 1; slot <= 3; ++slot) {
    if ((flags >> slot & 1) == 0) partition.write(slot * kMetadataSize, copy);
  }

  check(examine(partition));
  const VolumeFacts facts = examine(partition, {.search = Search::kEverywhere});
  check(facts);
  try {
    OpenOptions how;
    how.accept_wrong_integrity = true;
    read_all(partition, open_volume(partition, facts, ClearKeyCredential{}, how));
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInternal) std::abort();
  }
  return 0;
}

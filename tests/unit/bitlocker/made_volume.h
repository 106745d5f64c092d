// A volume made by our own writer on a device in memory, for the tests.
#pragma once

#include <map>
#include <memory>
#include <utility>

#include "bitlocker/create.h"
#include "bitlocker/encrypted_device.h"
#include "bitlocker/open.h"
#include "drive/block/memory_device.h"
#include "test_tools.h"

namespace driveprep::bitlocker {

// A boot sector as mkntfs writes it, as far as BitLocker looks at it.
inline Bytes ntfs_boot_sector(SectorSize sector, std::uint64_t cluster) {
  Bytes boot(sector.bytes());
  const auto put = [&](std::size_t at, const Bytes& data) {
    std::copy(data.begin(), data.end(), boot.begin() + at);
  };
  put(0, unhex("eb52904e54465320202020"));
  put(0x0B, ByteWriter()
                .u16(static_cast<std::uint16_t>(sector.bytes()))
                .u8(static_cast<std::uint8_t>(cluster / sector.bytes()))
                .take());
  put(0x18, unhex("3f00ff0000080000"));
  put(0x1FE, unhex("55aa"));
  return boot;
}

inline constexpr std::string_view kTestPassword = "correct horse \xC2\xA3";

// Stretching takes its time, so each kind of volume is made once a run.
struct VolumeTemplate {
  RecoveryPassword recovery = RecoveryPassword::random();
  VolumeLayout layout;
  CreatedVolume created;

  VolumeTemplate(Cipher cipher, SectorSize sector)
      : layout(place_metadata(62 * kMiB, sector, 4096, {})),
        created(create_volume({.cipher = cipher,
                               .recovery_password = &recovery,
                               .password = SecretBytes::copy_of(kTestPassword),
                               .external_key = true,
                               .description = "STAGING D: 21.11.2026"},
                              layout)) {}

  static const VolumeTemplate& of(Cipher cipher, SectorSize sector) {
    static std::map<std::pair<Cipher, SectorSize>, VolumeTemplate> made;
    return made.try_emplace({cipher, sector}, cipher, sector).first->second;
  }
};

enum class Header { kWritten, kMissing };

struct MadeVolume {
  const RecoveryPassword& recovery;
  const VolumeLayout& layout;
  const CreatedVolume& created;
  block::MemoryDevice partition;

  explicit MadeVolume(const VolumeTemplate& made, Header header = Header::kWritten)
      : recovery(made.recovery),
        layout(made.layout),
        created(made.created),
        partition(layout.volume_size, layout.sector_size, "test volume") {
    erase_volume_header(partition);
    write_metadata(partition, layout, created.metadata);
    if (header == Header::kWritten) {
      write_boot_region(partition, layout, ntfs_boot_sector(layout.sector_size, 4096));
    }
  }
  MadeVolume(Cipher cipher, SectorSize sector, Header header = Header::kWritten)
      : MadeVolume(VolumeTemplate::of(cipher, sector), header) {}

  std::shared_ptr<const SectorCipher> cipher(Cipher method) const {
    return std::make_shared<SectorCipher>(method, created.fvek.clone(), layout.sector_size);
  }
};

}  // namespace driveprep::bitlocker

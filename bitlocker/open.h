// Opening a BitLocker volume with one of its keys.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "base/guid.h"
#include "base/secret_bytes.h"
#include "bitlocker/cipher.h"
#include "bitlocker/examine.h"
#include "bitlocker/layout.h"
#include "bitlocker/metadata.h"
#include "bitlocker/recovery_password.h"
#include "bitlocker/sector_cipher.h"
#include "drive/block/block_device.h"

namespace driveprep::bitlocker {

struct PasswordCredential {
  SecretBytes utf8;
};
struct ExternalKeyCredential {
  SecretBytes file;  // content of the .BEK file, 156 or 180 bytes
};
// The key that lies open in the metadata of a volume whose protection is suspended.
struct ClearKeyCredential {};

using Credential =
    std::variant<RecoveryPassword, PasswordCredential, ExternalKeyCredential, ClearKeyCredential>;

struct OpenOptions {
  // Look for the metadata here instead of asking the volume header: for a volume whose header is
  // not written yet.
  std::optional<std::array<std::uint64_t, 3>> metadata_offsets;
  // Open although the metadata is not what the holder of the key once signed.
  bool accept_wrong_integrity = false;
};

struct OpenedVolume {
  VolumeLayout layout;
  Metadata metadata;
  Guid volume_id;
  Guid protector;              // the one that opened
  unsigned copy_used = 0;      // 1..3: the metadata copy that was read
  bool has_clear_key = false;  // anybody can open this volume: warn
  Integrity integrity = Integrity::kGood;
  SecretBytes vmk;
  std::shared_ptr<const SectorCipher> cipher;
};

// Reads the volume header and the metadata copies, takes of those that are sound (signature,
// version, CRC, its own place) the one that was written last, unwraps the volume master key with
// the first protector of the credential's kind that it fits, checks the integrity hash and unwraps
// the FVEK. Where that fails and the copies differ, an older one is tried. Nothing is written.
//
// Errors:
//   kRefused  "not-bitlocker", "bitlocker-vista", "bitlocker-converting", "bitlocker-decrypted",
//             "bitlocker-cipher-unknown", "bitlocker-stretching-unknown"
//   kVerification  "bitlocker-metadata-damaged" (no sound copy), "bitlocker-integrity"
//   kKey      "key-does-not-open", "no-such-protector" (of the kind of the credential),
//             "bad-external-key", "bitlocker-password-text"
OpenedVolume open_volume(const block::ReadableDevice& partition, const Credential& credential,
                         const OpenOptions& options = {});
// The same with what was found out before, also of a volume whose header is lost.
OpenedVolume open_volume(const block::ReadableDevice& partition, const VolumeFacts& facts,
                         const Credential& credential, const OpenOptions& options = {});

// The volume master key alone, of a volume in any state: what is needed to tell which copies of the
// metadata its holder signed. A copy with a good integrity hash is preferred. Errors as above, but
// for those about the state of the volume.
struct UnlockedVolume {
  SecretBytes vmk;
  Guid protector;
};
UnlockedVolume unlock_volume(const block::ReadableDevice& partition, const VolumeFacts& facts,
                             const Credential& credential);

}  // namespace driveprep::bitlocker

// Changing the protectors of a volume: one edit makes new metadata out of the old, sealed under the
// same volume master key. What the edit does not touch stays byte for byte.
//
// The volume's data key stays as it is: whoever once had a key of the volume and kept a copy of the
// old metadata can still read it. Taking a protector away is no substitute for encrypting anew.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file_time.h"
#include "base/guid.h"
#include "base/secret_bytes.h"
#include "bitlocker/examine.h"
#include "bitlocker/external_key.h"
#include "bitlocker/open.h"
#include "bitlocker/protector.h"
#include "bitlocker/recovery_password.h"

namespace driveprep::bitlocker {

class ProtectorEdit {
 public:
  // `volume` was opened from `facts`. What is changed is the newest metadata, and the new nonces
  // begin behind every counter that any copy knows, so that none is used twice after an interrupted
  // change. Throws:
  //   kKey      "protector-change-interrupted": the volume was opened by a key that only older
  //             metadata knows
  //   kVerification  "bitlocker-integrity": the metadata that would be signed anew was not intact
  ProtectorEdit(const OpenedVolume& volume, const VolumeFacts& facts,
                FileTime now = FileTime::now());
  ProtectorEdit(OpenedVolume&&, const VolumeFacts&, FileTime = FileTime::now()) = delete;

  // Each returns the id of the new protector. Throws kUsage "protector-exists": Windows keeps one
  // password at most; and what check_password() throws.
  Guid add_recovery_password(const RecoveryPassword& password);
  Guid add_password(const SecretBytes& utf8);
  Guid add_external_key(ExternalKeyFile& file);
  // Throws kUsage "protector-unknown".
  void remove(const Guid& id);

  // The new copy, for write_metadata(): 64 KiB, with a fresh integrity entry and CRC. Throws
  // kRefused "metadata-full", and "last-protector" when nobody could open the volume any more: at
  // least one recovery password, password or external key stays.
  Bytes seal() &&;

 private:
  void insert(Entry protector);

  Metadata metadata_;
  const SecretBytes& vmk_;  // of the opened volume, which outlives this
  FileTime now_;
  NonceSource nonces_;
};

// The protector with this id, with or without braces; its first characters do, eight at least, as
// Windows shows them. Throws kUsage "protector-unknown" or "protector-ambiguous".
ProtectorFacts find_protector(const Metadata& metadata, const std::string& id);

}  // namespace driveprep::bitlocker

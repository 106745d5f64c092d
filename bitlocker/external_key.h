// External key files (.BEK): a dataset header of 48 bytes and one entry that holds the key.
#pragma once

#include <optional>
#include <string>

#include "base/file_time.h"
#include "base/guid.h"
#include "base/secret_bytes.h"

namespace driveprep::bitlocker {

struct ExternalKey {
  Guid protector;
  FileTime changed;               // the protector's change time
  FileTime saved;                 // when the file was written
  std::optional<Guid> volume_id;  // only Windows 11 writes it (180 bytes instead of 156)
  SecretBytes key;                // 32 bytes
};

// A key file as Windows would save it beside a volume.
struct ExternalKeyFile {
  std::string name;     // "<PROTECTOR GUID>.BEK"
  SecretBytes content;  // 156 bytes
};

// A fresh key for a new protector.
ExternalKey new_external_key(FileTime now);
ExternalKeyFile external_key_file(const ExternalKey& key);

// Throws an Error (kKey, "bad-external-key") that says what is wrong with the file.
ExternalKey parse_external_key(const SecretBytes& file);
// The file as Windows 10 writes it, or Windows 11 when `volume_id` is set.
SecretBytes serialise_external_key(const ExternalKey& key);
// "<GUID in capitals>.BEK": Windows searches for this name.
std::string external_key_file_name(const Guid& protector);

}  // namespace driveprep::bitlocker

// What the JSON files of the local key store say.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "keywrap/local_key_store.h"
#include "keywrap/rsa_key.h"
#include "keywrap/unlock_secret.h"

namespace driveprep::keywrap {

// store.json
struct StoreRecord {
  std::string id;  // GUID, lower case
  int retention_days = 90;
  bool purge_protection = true;
  UnlockRecord unlock;

  // Throws FormatError.
  static StoreRecord parse(std::string_view json);
  std::string to_json() const;
};

struct VersionRecord {
  std::string version;  // 32 hex digits
  bool enabled = true;
  std::optional<UnixSeconds> not_before;
  std::optional<UnixSeconds> expires;
  UnixSeconds created = 0;
  UnixSeconds updated = 0;
  unsigned bits = 0;
  RsaPublic public_key;
};

// keys/<name>/key.json
struct KeyRecord {
  std::string name;
  std::vector<VersionRecord> versions;  // in the order of their creation, never empty
  std::optional<Deletion> deletion;

  // Throws FormatError.
  static KeyRecord parse(std::string_view json);
  std::string to_json() const;
};

}  // namespace driveprep::keywrap

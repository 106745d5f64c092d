// Key identifiers of the local key store: keystore://<store-id>/keys/<name>[/<version>].
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace driveprep::keywrap {

struct LocalKeyUri {
  std::string store_id;  // GUID, lower case
  std::string name;      // 1 to 127 letters, digits and hyphens, lower case
  std::string version;   // 32 hex digits, lower case; empty: whatever is the newest

  bool has_version() const { return !version.empty(); }
  std::string to_string() const;

  // nullopt for anything that is not exactly an identifier: no user information, port, query,
  // fragment, percent-encoding or dot segments. Identifiers compare without case, so upper case is
  // read and turned into lower case.
  static std::optional<LocalKeyUri> parse(std::string_view text);
};

// The rule for key names that Azure Key Vault has too: 1 to 127 letters, digits and hyphens, told
// apart without case. Returns the name in lower case; nullopt when it cannot be one.
std::optional<std::string> canonical_key_name(std::string_view name);

}  // namespace driveprep::keywrap

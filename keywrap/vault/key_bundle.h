// A key as the vault describes it: the KeyBundle of its REST API (key-wrapping reference, 3.1).
#pragma once

#include <string_view>

#include "keywrap/key_store.h"
#include "keywrap/vault/vault_key_uri.h"

namespace driveprep::keywrap::vault {

// No time in a description is later: the last second of the year 9999.
inline constexpr UnixSeconds kLastSecond = 253'402'300'799;

// `asked` is what was asked for: host, name and, when it has one, version must be those of the
// answer. Unknown members are ignored. Throws FormatError for anything that is no bundle, without
// quoting more than it must: also for times before 1970 or after kLastSecond, which could only be
// shown wrongly.
KeyVersion parse_key_bundle(std::string_view body, const VaultKeyUri& asked, const Cloud& cloud);

// The version that `kid` names; FormatError unless it is a full identifier of the key asked for.
VaultKeyUri require_same_key(std::string_view kid, const VaultKeyUri& asked, const Cloud& cloud);

}  // namespace driveprep::keywrap::vault

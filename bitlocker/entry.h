// Metadata entries: everything a BitLocker volume knows about itself is a tree of them.
//
// Entry header (8 bytes): u16 total size, u16 role, u16 value type, u16 flags. Then a fixed part
// whose size follows from the type, then nested entries or data. Whatever is not understood is kept
// byte for byte, so serialising a parsed tree gives the same bytes.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace driveprep::bitlocker {

enum class Role : std::uint16_t {
  kProperty = 0x00,
  kProtector = 0x02,  // of the volume master key
  kFvek = 0x03,
  kExternalKey = 0x06,
  kDescription = 0x07,
  kPublicKey = 0x0C,  // of a certificate
  kRelocation = 0x0F,
  kRecoveryKeyEscrow = 0x12,
  kRecoveryKekEscrow = 0x13,
  kStretchingName = 0x14,
  kVolumeId = 0x19,
};

enum class ValueType : std::uint16_t {
  kKey = 0x01,
  kText = 0x02,
  kStretchKey = 0x03,
  kUseKey = 0x04,
  kWrapped = 0x05,
  kProtector = 0x08,
  kExternalKey = 0x09,
  kUpdate = 0x0A,
  kRsaBlob = 0x0C,
  kPublicKey = 0x0D,
  kKeyInfo = 0x0E,
  kRelocation = 0x0F,
  kBackupInfo = 0x15,
  kGuid = 0x17,
};

enum class KeyType : std::uint16_t {
  kRecoveryKey = 0x1000,  // 128 bits; also the stretch key of a recovery protector
  kPasswordStretch = 0x1001,
  kClear = 0x2000,
  kExternal = 0x2002,
  kVmk = 0x2003,
  kHash = 0x2005,
  kPasswordKek = 0x2007,
  kRecoveryKek = 0x2008,
};

struct Entry {
  static constexpr std::size_t kHeaderSize = 8;

  Role role{};
  ValueType type{};
  std::uint16_t flags = 1;
  Bytes fixed;                  // the fixed part of the type; empty when the entry is too short
  std::vector<Entry> children;  // nested entries of the types that have them
  Bytes data;                   // everything after that

  std::size_t size() const;
  void serialise(ByteWriter& out) const;
  // The first child with this role and type, or null.
  const Entry* child(Role wanted_role, ValueType wanted_type) const;
  const Entry* child(ValueType wanted_type) const;

  friend bool operator==(const Entry&, const Entry&) = default;
};

// Reads entries until a size that is 0 or does not fit; returns how many bytes they take.
// Never fails: what is no entry is simply not consumed.
std::size_t parse_entries(ByteView bytes, std::vector<Entry>& out);

// The bytes of the first entry in `bytes` including its header, or an empty view. For walking over
// secret entries without copying them.
ByteView first_entry(ByteView bytes);

// A text entry: UTF-16LE with its terminating NUL.
Entry text_entry(Role role, std::u16string_view text);

// The label inside external key protectors and files.
inline constexpr std::u16string_view kExternalKeyLabel = u"ExternalKey";

// Bytes between header and nested entries or data, by type; 0 for unknown types.
std::size_t fixed_size(ValueType type);

}  // namespace driveprep::bitlocker

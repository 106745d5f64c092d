// One 64 KiB metadata copy of a version 2 volume (Windows 7 and later).
//
//   0x00  block header    64 bytes
//   0x40  dataset header  48 bytes
//   0x70  entries, zeros up to a multiple of 16 (= T)
//   T     u16 size (0x10000 - T), u16 version, u32 CRC-32 of [0, T), integrity entry, zeros
//
// parse_metadata and serialise are exact inverses on everything that parses.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file_time.h"
#include "base/guid.h"
#include "base/secret_bytes.h"
#include "bitlocker/ccm.h"
#include "bitlocker/entry.h"

namespace driveprep::bitlocker {

// Of a volume: what it is, and what it is on the way to.
inline constexpr std::uint16_t kStateDecrypted = 1;
inline constexpr std::uint16_t kStateEncrypted = 4;  // 2 and 5: converting, 3: paused

struct Metadata {
  // Block header.
  std::uint16_t version = 2;
  std::uint16_t current_state = kStateEncrypted;
  std::uint16_t next_state = kStateEncrypted;
  std::uint64_t encrypted_size = 0;  // bytes from the start of the volume
  std::uint32_t converting_size = 0;
  std::uint32_t relocated_sectors = 0;
  std::array<std::uint64_t, 3> offsets{};
  std::uint64_t relocation_offset = 0;

  // Dataset header.
  std::uint32_t dataset_version = 1;
  Guid volume_id;
  std::uint32_t next_nonce = 0;
  std::uint16_t method = 0;
  std::uint16_t second_method = 0;  // 0, or the method again
  FileTime created;

  std::vector<Entry> entries;
  Bytes entries_tail;  // bytes of the dataset that are no entries

  // Validation block.
  std::uint16_t validation_version = 2;
  std::uint32_t crc = 0;
  std::optional<Entry> integrity;
  Bytes validation_tail;  // after the integrity entry; trailing zeros are not kept

  const Entry* find(Role role) const;
  // Encrypted, and meant to stay so.
  bool is_finished() const {
    return current_state == kStateEncrypted && next_state == kStateEncrypted;
  }
  std::string description() const;  // UTF-8; empty when there is none

  // T: the bytes that CRC and integrity hash cover.
  std::size_t signed_size() const;
  friend bool operator==(const Metadata&, const Metadata&) = default;
};

// `block`: 64 KiB. Throws FormatError that says what is wrong; the CRC is not looked at.
Metadata parse_metadata(ByteView block);
// The first T bytes.
Bytes serialise_signed(const Metadata& metadata);
// All 64 KiB, with the stored CRC and integrity entry.
Bytes serialise(const Metadata& metadata);

// Whether the stored CRC is that of the first T bytes of `block`.
bool crc_matches(const Metadata& metadata, ByteView block);

// Renews integrity entry and CRC. `nonce`: not used before with this key; its counter must be below
// metadata.next_nonce already.
void seal(Metadata& metadata, const SecretBytes& vmk, const Nonce& nonce);
enum class Integrity { kGood, kWrong, kAbsent };
Integrity check_integrity(const Metadata& metadata, const SecretBytes& vmk);

}  // namespace driveprep::bitlocker

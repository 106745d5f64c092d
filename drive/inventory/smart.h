// The health of an ATA drive: SMART.
//
// Format: ACS-3, 7.45 (the data and threshold pages are vendor specific in name and the same
// everywhere in fact); which attributes matter: the drive-safety reference, section 16.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace driveprep::inventory {

struct SmartAttribute {
  std::uint8_t id = 0;
  std::uint8_t value = 0;  // normalised: the higher, the better
  std::uint8_t worst = 0;
  std::uint64_t raw = 0;                  // 48 bits
  std::optional<std::uint8_t> threshold;  // failing at or below; none without a threshold page
  bool prefailure = false;

  bool failing() const { return prefailure && threshold && *threshold != 0 && value <= *threshold; }
};

// SMART READ DATA and SMART READ THRESHOLDS, 512 bytes each. Throw FormatError for another length
// or a wrong checksum. `thresholds` may be empty.
std::vector<SmartAttribute> parse_smart(ByteView data, ByteView thresholds);

struct Health {
  bool failing = false;       // the drive says so itself, or an attribute is at its threshold
  bool self_assessed = true;  // the drive has said itself whether it is failing
  std::optional<std::uint64_t> reallocated;    // 5: sectors
  std::optional<std::uint64_t> pending;        // 197: sectors
  std::optional<std::uint64_t> uncorrectable;  // 198: sectors
  std::optional<std::uint64_t> crc_errors;     // 199: of the cable
  std::optional<std::uint64_t> hours;          // 9: powered on
  std::optional<int> celsius;                  // 194, else 190

  bool has_bad_sectors() const {
    return reallocated.value_or(0) > 0 || pending.value_or(0) > 0 || uncorrectable.value_or(0) > 0;
  }
};

// `predicts_failure`: the answer to SMART RETURN STATUS; some bridges keep it to themselves.
Health health_of(const std::vector<SmartAttribute>& attributes,
                 std::optional<bool> predicts_failure);

}  // namespace driveprep::inventory

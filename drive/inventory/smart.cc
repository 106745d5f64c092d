#include "drive/inventory/smart.h"

#include <algorithm>

#include "drive/inventory/ata_identify.h"

namespace driveprep::inventory {
namespace {

constexpr int kEntries = 30;
constexpr std::size_t kEntryBytes = 12;
constexpr std::size_t kFirstEntry = 2;

void check_page(ByteView page, const char* which) {
  if (page.size() != kAtaPageBytes) throw FormatError(std::string(which) + " has 512 bytes");
  if (!has_right_checksum(page)) {
    throw FormatError("the checksum of " + std::string(which) + " is wrong");
  }
}

std::uint64_t u48(ByteReader& reader) {
  const std::uint64_t low = reader.u32();
  return low | static_cast<std::uint64_t>(reader.u16()) << 32;
}

std::optional<std::uint8_t> threshold_of(ByteView thresholds, std::uint8_t id) {
  for (int entry = 0; entry < kEntries && !thresholds.empty(); ++entry) {
    ByteReader reader(thresholds.subspan(kFirstEntry + entry * kEntryBytes, kEntryBytes));
    if (reader.u8() == id) return reader.u8();
  }
  return std::nullopt;
}

std::optional<std::uint64_t> raw_of(const std::vector<SmartAttribute>& attributes, std::uint8_t id,
                                    unsigned bits = 48) {
  const auto found = std::ranges::find(attributes, id, &SmartAttribute::id);
  if (found == attributes.end()) return std::nullopt;
  return found->raw & ((std::uint64_t{1} << bits) - 1);
}

// Vendors keep lowest and highest in the other bytes; the first one is signed.
std::optional<int> temperature_of(const std::vector<SmartAttribute>& attributes) {
  for (const std::uint8_t id : {std::uint8_t{194}, std::uint8_t{190}}) {
    if (const auto raw = raw_of(attributes, id, 8)) return static_cast<std::int8_t>(*raw);
  }
  return std::nullopt;
}

}  // namespace

std::vector<SmartAttribute> parse_smart(ByteView data, ByteView thresholds) {
  check_page(data, "the page of SMART data");
  if (!thresholds.empty()) check_page(thresholds, "the page of SMART thresholds");
  std::vector<SmartAttribute> attributes;
  for (int entry = 0; entry < kEntries; ++entry) {
    ByteReader reader(data.subspan(kFirstEntry + entry * kEntryBytes, kEntryBytes));
    SmartAttribute attribute;
    attribute.id = reader.u8();
    if (attribute.id == 0) continue;
    attribute.prefailure = (reader.u16() & 1) != 0;
    attribute.value = reader.u8();
    attribute.worst = reader.u8();
    attribute.raw = u48(reader);
    attribute.threshold = threshold_of(thresholds, attribute.id);
    attributes.push_back(attribute);
  }
  return attributes;
}

Health health_of(const std::vector<SmartAttribute>& attributes,
                 std::optional<bool> predicts_failure) {
  Health health;
  health.self_assessed = predicts_failure.has_value();
  health.failing =
      predicts_failure.value_or(false) || std::ranges::any_of(attributes, &SmartAttribute::failing);
  health.reallocated = raw_of(attributes, 5);
  health.pending = raw_of(attributes, 197);
  health.uncorrectable = raw_of(attributes, 198);
  health.crc_errors = raw_of(attributes, 199);
  health.hours = raw_of(attributes, 9, 32);  // some count minutes of the hour above these
  health.celsius = temperature_of(attributes);
  return health;
}

}  // namespace driveprep::inventory

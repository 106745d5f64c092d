// The structures of NTFS as they lie on the disk, without the library: its calls mend, cache and
// hide what a check wants to see. Internal. Layout: docs/volume-format.md, "NTFS".
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace driveprep::ntfs::check {

inline constexpr std::uint32_t kStandardInformation = 0x10;
inline constexpr std::uint32_t kAttributeList = 0x20;
inline constexpr std::uint32_t kFileName = 0x30;
inline constexpr std::uint32_t kSecurityDescriptor = 0x50;
inline constexpr std::uint32_t kData = 0x80;
inline constexpr std::uint32_t kIndexRoot = 0x90;
inline constexpr std::uint32_t kIndexAllocation = 0xA0;
inline constexpr std::uint32_t kBitmap = 0xB0;

inline constexpr std::uint64_t kRecordOfMft = 0;
inline constexpr std::uint64_t kRecordOfSecure = 9;

// A digest with some numbers worked into it: for sums that must cancel out.
std::uint64_t mixed(std::uint64_t digest, std::initializer_list<std::uint64_t> numbers);

// A reference to a record: its number in 48 bits, above it its sequence number.
constexpr std::uint64_t record_number(std::uint64_t reference) {
  return reference & 0xFFFF'FFFF'FFFF;
}

// A record or an index block is written with the same two bytes at the end of each 512; what stood
// there is in its update sequence. Puts it back. Throws FormatError when `block` does not begin
// with `mark`, or when one of its strides is of another write than the first.
void restore_strides(MutableByteView block, std::string_view mark);

// Where the update sequence of such a block is: it differs between copies that are equal otherwise.
struct UpdateSequence {
  std::size_t offset = 0;
  std::size_t length = 0;
};
UpdateSequence update_sequence(ByteView block);

// Clusters of an attribute, or a hole.
struct ClusterSpan {
  std::optional<std::uint64_t> first;  // on the volume; none: a hole
  std::uint64_t count = 0;
};

struct RawAttribute {
  std::uint32_t type = 0;
  std::u16string name;
  std::uint16_t flags = 0;
  std::uint16_t instance = 0;
  bool resident = false;
  ByteView value;  // resident
  // Not resident: the part of it that this record describes, and for the first part its sizes.
  std::uint64_t first_vcn = 0;
  std::uint64_t last_vcn = 0;
  std::uint64_t allocated = 0;  // bytes
  std::uint64_t size = 0;
  std::uint64_t valid = 0;
  ByteView pairs;

  bool sparse_or_compressed() const { return (flags & 0x80FF) != 0; }
};

struct RawRecord {
  std::uint64_t number = 0;
  std::uint16_t sequence = 0;
  std::uint64_t base = 0;  // reference of the record that this one continues; 0: of none
  std::vector<RawAttribute> attributes;

  std::uint64_t reference() const { return number | std::uint64_t{sequence} << 48; }
  std::uint64_t owner() const { return base != 0 ? base : reference(); }
};

// Whether `record`, as it lies on the disk, says that it is in use.
bool says_in_use(ByteView record);

// `record`: restored. The attributes in `out` point into it. Throws FormatError.
void parse_record(ByteView record, RawRecord& out);

// The clusters of one attribute. Throws FormatError when the pairs are none, or do not amount to
// the range of clusters that the attribute names.
std::vector<ClusterSpan> cluster_spans(const RawAttribute& attribute);

}  // namespace driveprep::ntfs::check

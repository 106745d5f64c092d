#include "drive/ntfs/check/raw_record.h"

#include <algorithm>

#include "base/utf16.h"

namespace driveprep::ntfs::check {
namespace {

constexpr std::size_t kStride = 512;  // whatever the sector size
constexpr std::size_t kFlagsOfRecord = 0x16;
constexpr std::size_t kAttributesOfRecord = 0x14;
constexpr std::uint16_t kInUse = 1;
constexpr std::uint32_t kEndOfAttributes = 0xFFFFFFFF;
constexpr std::size_t kResidentHeader = 24;
constexpr std::size_t kNonResidentHeader = 64;

ByteReader at(ByteView bytes, std::size_t offset) {
  ByteReader reader(bytes);
  reader.skip(offset);
  return reader;
}

ByteView part(ByteView bytes, std::size_t offset, std::size_t length) {
  if (offset > bytes.size() || length > bytes.size() - offset) {
    throw FormatError("a field reaches behind the end of its attribute");
  }
  return bytes.subspan(offset, length);
}

RawAttribute parse_attribute(ByteView bytes) {
  RawAttribute attribute;
  ByteReader head(bytes);
  attribute.type = head.u32();
  head.skip(4);
  attribute.resident = head.u8() == 0;
  const std::size_t name_units = head.u8();
  const std::size_t name_offset = head.u16();
  attribute.flags = head.u16();
  attribute.instance = head.u16();
  attribute.name = from_utf16le(part(bytes, name_offset, name_units * 2)).value();
  if (attribute.resident) {
    const std::size_t length = head.u32();
    attribute.value = part(bytes, head.u16(), length);
    return attribute;
  }
  attribute.first_vcn = head.u64();
  attribute.last_vcn = head.u64();
  const std::size_t pairs = head.u16();
  head.skip(6);
  attribute.allocated = head.u64();
  attribute.size = head.u64();
  attribute.valid = head.u64();
  if (pairs < kNonResidentHeader || pairs > bytes.size()) {
    throw FormatError("the list of its clusters is not inside of an attribute");
  }
  attribute.pairs = bytes.subspan(pairs);
  if (attribute.first_vcn == 0 &&
      (attribute.size > attribute.allocated || attribute.valid > attribute.size)) {
    throw FormatError("the sizes of an attribute contradict each other");
  }
  return attribute;
}

std::uint64_t number(ByteReader& reader, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) value |= std::uint64_t{reader.u8()} << (8 * i);
  return value;
}

// A number of `width` bytes whose highest bit is its sign.
std::int64_t signed_number(ByteReader& reader, std::size_t width) {
  const std::uint64_t value = number(reader, width);
  const std::size_t unused = 64 - 8 * width;
  return static_cast<std::int64_t>(value << unused) >> unused;
}

}  // namespace

std::uint64_t mixed(std::uint64_t digest, std::initializer_list<std::uint64_t> numbers) {
  for (const std::uint64_t number : numbers) {
    digest = (digest ^ number) * 0x9E3779B97F4A7C15;
    digest ^= digest >> 29;
  }
  return digest;
}

UpdateSequence update_sequence(ByteView block) {
  ByteReader head = at(block, 4);
  const std::size_t offset = head.u16();
  const std::size_t count = head.u16();
  if (count != block.size() / kStride + 1 || offset % 2 != 0 || offset < 8 ||
      offset + 2 * count > kStride - 2) {
    throw FormatError("its update sequence is not where it can be");
  }
  return {offset, 2 * count};
}

void restore_strides(MutableByteView block, std::string_view mark) {
  if (as_text(ByteView(block).first(4)) != mark) {
    throw FormatError("it does not begin with " + std::string(mark));
  }
  const auto [offset, length] = update_sequence(block);
  const ByteView kept = ByteView(block).subspan(offset, length);
  for (std::size_t stride = 0; stride < block.size() / kStride; ++stride) {
    const MutableByteView end = block.subspan((stride + 1) * kStride - 2, 2);
    if (!std::ranges::equal(end, kept.first(2))) {
      throw FormatError("only a part of it is of its last write");
    }
    std::ranges::copy(kept.subspan(2 + 2 * stride, 2), end.begin());
  }
}

bool says_in_use(ByteView record) {
  return as_text(record.first(4)) == "FILE" && (at(record, kFlagsOfRecord).u16() & kInUse) != 0;
}

void parse_record(ByteView record, RawRecord& out) {
  out.attributes.clear();
  ByteReader head = at(record, 0x10);
  out.sequence = head.u16();
  head.skip(2);
  std::size_t offset = head.u16();
  head.skip(2);
  const std::size_t used = head.u32();
  if (head.u32() != record.size() || used > record.size()) {
    throw FormatError("it gives itself another size");
  }
  out.base = head.u64();
  head.skip(4);
  out.number = head.u32();
  if (offset < kAttributesOfRecord || offset % 8 != 0) {
    throw FormatError("its attributes are not where they can be");
  }
  for (std::uint32_t before = 0;;) {
    ByteReader reader = at(record.first(used), offset);
    const std::uint32_t type = reader.u32();
    if (type == kEndOfAttributes) return;
    const std::size_t length = reader.u32();
    if (type < before || length < kResidentHeader || length % 8 != 0 || length > used - offset) {
      throw FormatError("its attributes are not one behind the other");
    }
    out.attributes.push_back(parse_attribute(record.subspan(offset, length)));
    before = type;
    offset += length;
  }
}

std::vector<ClusterSpan> cluster_spans(const RawAttribute& attribute) {
  std::vector<ClusterSpan> spans;
  ByteReader reader(attribute.pairs);
  std::uint64_t total = 0;
  std::uint64_t place = 0;  // wraps where the distance is negative
  for (std::uint8_t widths = reader.u8(); widths != 0; widths = reader.u8()) {
    const std::size_t count_width = widths & 0x0F;
    const std::size_t place_width = widths >> 4;
    if (count_width == 0 || count_width > 8 || place_width > 8) {
      throw FormatError("the list of the clusters of an attribute cannot be read");
    }
    const std::int64_t count = signed_number(reader, count_width);
    if (count <= 0) throw FormatError("an attribute has a run of no clusters");
    ClusterSpan span{std::nullopt, static_cast<std::uint64_t>(count)};
    if (place_width > 0) {
      place += static_cast<std::uint64_t>(signed_number(reader, place_width));
      span.first = place;
    }
    total += span.count;
    spans.push_back(span);
  }
  if (total != attribute.last_vcn + 1 - attribute.first_vcn) {
    throw FormatError("an attribute has another number of clusters than it says");
  }
  return spans;
}

}  // namespace driveprep::ntfs::check

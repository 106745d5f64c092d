#include "drive/ntfs/file_record.h"

#include <algorithm>
#include <array>
#include <bit>

namespace driveprep::ntfs {
namespace {

constexpr std::size_t kFixupStride = 512;  // whatever the sector size
constexpr std::size_t kHeaderBytes = 0x30;
constexpr std::size_t kResidentHeader = 24;
constexpr std::size_t kNonResidentHeader = 64;
constexpr std::size_t kStandardInformation = 72;
constexpr std::size_t kFileNameFixed = 66;  // before the name itself
constexpr std::size_t kEndMark = 8;
constexpr std::size_t kLargestRecord = 4096;

constexpr std::uint32_t kTypeStandardInformation = 0x10;
constexpr std::uint32_t kTypeFileName = 0x30;
constexpr std::uint32_t kTypeData = 0x80;
constexpr std::uint32_t kTypeEnd = 0xFFFFFFFF;
constexpr std::uint32_t kArchive = 0x20;
constexpr std::uint16_t kInUse = 1;
constexpr std::uint8_t kIndexed = 1;

// Bytes of the record's value when the content is inside it; of its clusters otherwise.
std::uint64_t allocated_size(const NewFile& file, std::uint32_t cluster_size) {
  if (file.runs.empty()) return round_up(file.size, 8);
  std::uint64_t clusters = 0;
  for (const ClusterRun& run : file.runs) clusters += run.count;
  return clusters * cluster_size;
}

std::size_t first_attribute(std::size_t record_size) {
  return round_up(kHeaderBytes + 2 * (record_size / kFixupStride + 1), 8);
}

std::size_t file_name_attribute(std::size_t name_units) {
  return round_up(kResidentHeader + kFileNameFixed + 2 * name_units, 8);
}

// Fewest bytes that hold `value` as a signed number.
std::size_t signed_width(std::int64_t value) {
  const auto magnitude = static_cast<std::uint64_t>(value < 0 ? ~value : value);
  return static_cast<std::size_t>(std::bit_width(magnitude)) / 8 + 1;
}

// Puts fields one behind the other into memory that is there already: no
// allocation for the record of a small file.
class FieldWriter {
 public:
  explicit FieldWriter(MutableByteView out) : out_(out) {}

  std::size_t size() const { return at_; }
  FieldWriter& u8(std::uint8_t value) { return number(value, 1); }
  FieldWriter& u16(std::uint16_t value) { return number(value, 2); }
  FieldWriter& u32(std::uint32_t value) { return number(value, 4); }
  FieldWriter& u64(std::uint64_t value) { return number(value, 8); }
  // The low bytes of `value`.
  FieldWriter& number(std::uint64_t value, std::size_t width) {
    const MutableByteView field = next(width);
    for (std::size_t i = 0; i < width; ++i) field[i] = static_cast<std::byte>(value >> (8 * i));
    return *this;
  }
  FieldWriter& bytes(ByteView data) {
    std::ranges::copy(data, next(data.size()).begin());
    return *this;
  }
  // The memory was zeroed before.
  FieldWriter& skip(std::size_t count) {
    next(count);
    return *this;
  }
  FieldWriter& skip_to(std::size_t offset) {
    require(offset >= at_, "a record's fields overlap");
    return skip(offset - at_);
  }

 private:
  MutableByteView next(std::size_t count) {
    require(count <= out_.size() - at_, "a record's field lies outside of it");
    at_ += count;
    return out_.subspan(at_ - count, count);
  }

  MutableByteView out_;
  std::size_t at_ = 0;
};

// "Mapping pairs": each run as its length and its distance from the one before. Returns their
// bytes, 0 when they do not fit.
std::size_t mapping_pairs(std::span<const ClusterRun> runs, MutableByteView room) {
  constexpr std::size_t kLongest = 1 + 2 * 9;
  FieldWriter out(room);
  std::int64_t previous = 0;
  for (const ClusterRun& run : runs) {
    if (room.size() - out.size() <= kLongest) return 0;
    const auto count = static_cast<std::int64_t>(run.count);
    const std::int64_t distance = static_cast<std::int64_t>(run.first) - previous;
    const std::size_t count_width = signed_width(count);
    const std::size_t distance_width = signed_width(distance);
    out.u8(static_cast<std::uint8_t>(distance_width << 4 | count_width));
    out.number(static_cast<std::uint64_t>(count), count_width);
    out.number(static_cast<std::uint64_t>(distance), distance_width);
    previous = static_cast<std::int64_t>(run.first);
  }
  return out.u8(0).size();
}

// The common start of every attribute; ours have no name and no flags.
void attribute_header(FieldWriter& out, std::uint32_t type, std::size_t length, bool non_resident,
                      std::uint16_t instance) {
  out.u32(type).u32(static_cast<std::uint32_t>(length)).u8(non_resident ? 1 : 0);
  out.u8(0).u16(non_resident ? kNonResidentHeader : 0).u16(0).u16(instance);
}

// What comes before the value. Returns where the attribute ends.
std::size_t resident_header(FieldWriter& out, std::uint32_t type, std::uint16_t instance,
                            std::size_t value_size, std::uint8_t resident_flags) {
  const std::size_t length = round_up(kResidentHeader + value_size, 8);
  const std::size_t end = out.size() + length;
  attribute_header(out, type, length, false, instance);
  out.u32(static_cast<std::uint32_t>(value_size)).u16(kResidentHeader).u8(resident_flags).u8(0);
  return end;
}

void resident_attribute(FieldWriter& out, std::uint32_t type, std::uint16_t instance,
                        ByteView value, std::uint8_t resident_flags) {
  const std::size_t end = resident_header(out, type, instance, value.size(), resident_flags);
  out.bytes(value).skip_to(end);
}

void non_resident_data(FieldWriter& out, std::uint16_t instance, const NewFile& file,
                       std::uint32_t cluster_size, ByteView pairs) {
  const std::uint64_t allocated = allocated_size(file, cluster_size);
  const std::size_t end = out.size() + round_up(kNonResidentHeader + pairs.size(), 8);
  attribute_header(out, kTypeData, end - out.size(), true, instance);
  out.u64(0).u64(allocated / cluster_size - 1).u16(kNonResidentHeader).skip(6);
  out.u64(allocated).u64(file.size).u64(file.valid_length);
  out.bytes(pairs).skip_to(end);
}

void times(FieldWriter& out, const NewFile& file) {
  out.u64(file.times.creation.ticks).u64(file.times.modification.ticks);
  out.u64(file.record_changed.ticks).u64(file.times.access.ticks);
}

void standard_information(FieldWriter& out, std::uint16_t instance, const NewFile& file,
                          std::uint32_t security_id) {
  const std::size_t end =
      resident_header(out, kTypeStandardInformation, instance, kStandardInformation, 0);
  times(out, file);
  out.u32(kArchive).skip(12).u32(0).u32(security_id);  // versions; owner; quota and USN follow
  out.skip_to(end);
}

}  // namespace

std::size_t resident_capacity(std::size_t record_size, std::size_t name_units) {
  const std::size_t used = first_attribute(record_size) + kResidentHeader + kStandardInformation +
                           file_name_attribute(name_units) + kResidentHeader + kEndMark;
  return record_size - used;
}

Bytes file_name_value(const NewFile& file, const RecordPlace& place) {
  require(!file.name.empty() && file.name.size() <= 255,
          "a name has no or more than 255 UTF-16 units");
  Bytes value(kFileNameFixed + 2 * file.name.size());
  FieldWriter out(value);
  out.u64(place.parent);
  times(out, file);
  out.u64(allocated_size(file, place.cluster_size)).u64(file.size).u32(kArchive).u32(0);
  // Name space 0, POSIX: what the library gives to every name it creates.
  out.u8(static_cast<std::uint8_t>(file.name.size())).u8(0);
  for (const char16_t unit : file.name) out.u16(unit);
  return value;
}

bool build_file_record(const NewFile& file, const RecordPlace& place, ByteView name,
                       MutableByteView record) {
  const bool resident = file.runs.empty();
  require(!resident || file.content.size() == file.size,
          "a file has another size than its content");
  std::array<std::byte, kLargestRecord> room;
  require(record.size() <= room.size(), "a record has more than 4096 bytes");
  const ByteView pairs = ByteView(room).first(resident ? 0 : mapping_pairs(file.runs, room));
  if (!resident && pairs.empty()) return false;
  const std::size_t first = first_attribute(record.size());
  const std::size_t data = resident ? round_up(kResidentHeader + file.size, 8)
                                    : round_up(kNonResidentHeader + pairs.size(), 8);
  const std::size_t used = first + kResidentHeader + kStandardInformation +
                           file_name_attribute(file.name.size()) + data + kEndMark;
  if (used > record.size()) return false;

  FieldWriter out(record);
  out.bytes(as_bytes("FILE")).u16(kHeaderBytes);
  out.u16(static_cast<std::uint16_t>(record.size() / kFixupStride + 1));
  out.u64(0).u16(1).u16(1);  // log sequence number; sequence number, links
  out.u16(static_cast<std::uint16_t>(first)).u16(kInUse);
  out.u32(static_cast<std::uint32_t>(used)).u32(static_cast<std::uint32_t>(record.size()));
  out.u64(0).u16(3).u16(0).u32(static_cast<std::uint32_t>(place.number));  // next instance is 3
  out.u16(1).skip_to(first);                                               // update sequence number
  standard_information(out, 0, file, place.security_id);
  resident_attribute(out, kTypeFileName, 2, name, kIndexed);
  if (resident) {
    resident_attribute(out, kTypeData, 1, file.content, 0);
  } else {
    non_resident_data(out, 1, file, place.cluster_size, pairs);
  }
  out.u32(kTypeEnd).u32(0);
  return true;
}

}  // namespace driveprep::ntfs

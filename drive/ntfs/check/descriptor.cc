#include "drive/ntfs/check/descriptor.h"

#include <array>

namespace driveprep::ntfs::check {
namespace {

constexpr std::uint16_t kSelfRelative = 0x8000;
constexpr std::size_t kListHeader = 8;
constexpr std::size_t kRight = 8;  // bytes before the identity that an entry of a list is about

[[noreturn]] void malformed() { throw FormatError("its permissions are malformed"); }

ByteView from(ByteView bytes, std::size_t offset) {
  if (offset > bytes.size()) malformed();
  return bytes.subspan(offset);
}

// Revision, number of parts, authority, and 4 bytes for each part.
void check_identity(ByteView bytes) {
  ByteReader reader(bytes);
  if (reader.u8() != 1) malformed();
  const std::size_t parts = reader.u8();
  if (parts > 15) malformed();
  reader.skip(6 + 4 * parts);
}

void check_list(ByteView bytes) {
  ByteReader head(bytes);
  const std::uint8_t revision = head.u8();
  head.skip(1);
  const std::size_t size = head.u16();
  const std::size_t count = head.u16();
  if ((revision != 2 && revision != 4) || size < kListHeader || size > bytes.size()) malformed();
  ByteView rest = bytes.first(size).subspan(kListHeader);
  for (std::size_t i = 0; i < count; ++i) {
    ByteReader entry(rest);
    entry.skip(2);
    const std::size_t length = entry.u16();
    if (length < kRight || length > rest.size()) malformed();
    check_identity(rest.first(length).subspan(kRight));
    rest = rest.subspan(length);
  }
}

}  // namespace

void check_descriptor(ByteView descriptor) {
  ByteReader head(descriptor);
  if (head.u8() != 1) malformed();
  head.skip(1);
  if ((head.u16() & kSelfRelative) == 0) malformed();
  const std::array<std::size_t, 4> at = {head.u32(), head.u32(), head.u32(), head.u32()};
  for (std::size_t part = 0; part < at.size(); ++part) {
    if (at[part] == 0) continue;  // there is none
    const ByteView bytes = from(descriptor, at[part]);
    if (part < 2) {
      check_identity(bytes);
    } else {
      check_list(bytes);
    }
  }
}

}  // namespace driveprep::ntfs::check

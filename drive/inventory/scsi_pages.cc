#include "drive/inventory/scsi_pages.h"

#include "base/encoding.h"
#include "drive/inventory/ata_identify.h"
#include "drive/inventory/device_text.h"

namespace driveprep::inventory {
namespace {

constexpr std::uint8_t kSerialPage = 0x80;
constexpr std::uint8_t kIdentificationPage = 0x83;
constexpr std::uint8_t kAtaPage = 0x89;
constexpr std::size_t kIdentifyOffset = 60;

constexpr unsigned kBinary = 1;  // code set of a designator
constexpr unsigned kLogicalUnit = 0;
constexpr unsigned kEui64 = 2;
constexpr unsigned kNaa = 3;

std::size_t big_endian_u16(ByteReader& reader) {
  const std::size_t high = reader.u8();
  return high << 8 | reader.u8();
}

ByteView content_of(ByteView page, std::uint8_t code) {
  ByteReader reader(page);
  reader.skip(1);  // the kind of device
  if (reader.u8() != code) throw FormatError("it is another page of vital product data");
  const std::size_t length = big_endian_u16(reader);
  return reader.take(length);
}

}  // namespace

std::string parse_unit_serial(ByteView page) {
  return clean_device_text(as_text(content_of(page, kSerialPage)));
}

std::optional<std::string> parse_world_wide_name(ByteView page) {
  ByteReader reader(content_of(page, kIdentificationPage));
  std::optional<std::string> eui;
  while (reader.remaining() > 0) {
    const unsigned code_set = reader.u8() & 0xFU;
    const unsigned kind = reader.u8();
    reader.skip(1);
    const ByteView designator = reader.take(reader.u8());
    if (code_set != kBinary || (kind >> 4 & 3) != kLogicalUnit) continue;
    if ((kind & 0xF) == kNaa) return "0x" + hex_lower(designator);
    if ((kind & 0xF) == kEui64) eui = "0x" + hex_lower(designator);
  }
  return eui;
}

ByteView ata_page_of(ByteView page) {
  ByteReader reader(content_of(page, kAtaPage));
  reader.skip(kIdentifyOffset - 4);
  return reader.take(kAtaPageBytes);
}

}  // namespace driveprep::inventory

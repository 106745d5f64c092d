// The pages are put together word by word from the standard's tables.
#include <catch2/catch.hpp>
#include <numeric>

#include "drive/inventory/ata_identify.h"
#include "drive/inventory/scsi_pages.h"
#include "drive/inventory/smart.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::inventory;

namespace {

void set_checksum(Bytes& page) {
  page[511] = std::byte{0};
  const unsigned sum = std::accumulate(
      page.begin(), page.end(), 0U,
      [](unsigned total, std::byte b) { return total + std::to_integer<unsigned>(b); });
  page[511] = static_cast<std::byte>((256 - (sum & 0xFF)) & 0xFF);
}

class Page {
 public:
  Page& word(std::size_t number, unsigned value) {
    page_[2 * number] = static_cast<std::byte>(value & 0xFF);
    page_[2 * number + 1] = static_cast<std::byte>(value >> 8);
    return *this;
  }
  // Two characters a word, the first one in the high byte.
  Page& text(std::size_t first, std::size_t words, std::string value) {
    value.resize(2 * words, ' ');
    for (std::size_t i = 0; i < words; ++i) {
      word(first + i, static_cast<unsigned char>(value[2 * i]) << 8 |
                          static_cast<unsigned char>(value[2 * i + 1]));
    }
    return *this;
  }
  Bytes take() {
    page_[510] = std::byte{0xA5};
    set_checksum(page_);
    return page_;
  }

 private:
  Bytes page_ = Bytes(kAtaPageBytes);
};

// 4 TB, 512e, 5400 revolutions, SMART on.
Page red_drive() {
  Page page;
  page.text(10, 10, "     WD-WX51A1234567")
      .text(23, 4, "82.00A82")
      .text(27, 20, "WDC WD40EFRX-68N32N0");
  page.word(60, 0xFFFF).word(61, 0x0FFF);
  page.word(82, 0x746B).word(83, 0x7D61).word(85, 0x7469).word(86, 0xBC41).word(87, 0x6163);
  page.word(100, 0xBEB0).word(101, 0xD1C0).word(102, 0x0001);
  page.word(106, 0x6003);
  page.word(108, 0x5001).word(109, 0x4EE2).word(110, 0x6512).word(111, 0x3456);
  page.word(217, 5400);
  return page;
}

}  // namespace

TEST_CASE("an IDENTIFY page is read") {
  const AtaIdentify drive = parse_ata_identify(red_drive().take());
  CHECK(drive.serial == "WD-WX51A1234567");
  CHECK(drive.firmware == "82.00A82");
  CHECK(drive.model == "WDC WD40EFRX-68N32N0");
  CHECK(drive.wwn == 0x50014EE265123456);
  CHECK(drive.sectors == 0x1D1C0BEB0);
  CHECK(drive.bytes() == 0x1D1C0BEB0 * 512);
  CHECK(drive.logical_sector == 512);
  CHECK(drive.physical_sector == 4096);
  CHECK(drive.rotation == 5400);
  CHECK(drive.smart_supported);
  CHECK(drive.smart_enabled);
  CHECK_FALSE(drive.locked);
}

TEST_CASE("large sectors, no moving parts, and an ATA password are seen") {
  Page page = red_drive();
  page.word(106, 0x5000).word(117, 2048).word(118, 0).word(217, 1).word(128, 0x0007);
  const AtaIdentify drive = parse_ata_identify(page.take());
  CHECK(drive.logical_sector == 4096);
  CHECK(drive.physical_sector == 4096);
  CHECK(drive.rotation == 0);
  CHECK(drive.locked);
}

TEST_CASE("what says nothing is not believed to say something") {
  Page page = red_drive();
  page.word(87, 0).word(106, 0).word(83, 0).word(217, 0);
  const AtaIdentify drive = parse_ata_identify(page.take());
  CHECK_FALSE(drive.wwn);
  CHECK(drive.sectors == 0x0FFFFFFF);  // the older count
  CHECK(drive.physical_sector == 512);
  CHECK_FALSE(drive.rotation);
  CHECK_FALSE(drive.smart_supported);
}

TEST_CASE("a damaged page, a cut one, an optical drive and an empty one are no disks") {
  Bytes damaged = red_drive().take();
  damaged[20] ^= std::byte{1};
  CHECK_THROWS_AS(parse_ata_identify(damaged), FormatError);
  Bytes cut = red_drive().take();
  cut.pop_back();
  CHECK_THROWS_AS(parse_ata_identify(cut), FormatError);
  CHECK_THROWS_AS(parse_ata_identify(red_drive().word(0, 0x8580).take()), FormatError);
  CHECK_THROWS_AS(parse_ata_identify(Bytes(512)), FormatError);
}

TEST_CASE("vital product data tells serial number, world wide name and the ATA page") {
  ByteWriter serial;
  serial.u8(0).u8(0x80).u8(0).u8(20).bytes(as_bytes("     WD-WX51A1234567"));
  CHECK(parse_unit_serial(serial.view()) == "WD-WX51A1234567");

  ByteWriter names;
  names.u8(0).u8(0x83).u8(0).u8(40);
  names.u8(0x02).u8(0x01).u8(0).u8(8).bytes(as_bytes("ATA     "));  // T10, in ASCII
  names.u8(0x01).u8(0x93).u8(0).u8(8).u64(0xFFFFFFFFFFFFFFFF);      // of the port
  names.u8(0x01).u8(0x03).u8(0).u8(8);
  for (const int b : {0x50, 0x01, 0x4E, 0xE2, 0x65, 0x12, 0x34, 0x56}) {
    names.u8(static_cast<std::uint8_t>(b));
  }
  names.zeros(4);  // an empty designator
  CHECK(parse_world_wide_name(names.view()) == "0x50014ee265123456");

  ByteWriter ata;
  ata.u8(0).u8(0x89).u8(0x02).u8(0x38).zeros(56).bytes(red_drive().take());
  CHECK(parse_ata_identify(ata_page_of(ata.view())).serial == "WD-WX51A1234567");

  CHECK_THROWS_AS(parse_unit_serial(names.view()), FormatError);
  CHECK_THROWS_AS(parse_unit_serial(ByteView(serial.view()).first(10)), FormatError);
  CHECK_THROWS_AS(ata_page_of(ByteView(ata.view()).first(400)), FormatError);
}

namespace {

struct Attribute {
  int id;
  int flags;
  int value;
  std::uint64_t raw;
};

Bytes smart_data(const std::vector<Attribute>& attributes) {
  ByteWriter page;
  page.u16(0x10);
  for (const Attribute& each : attributes) {
    page.u8(static_cast<std::uint8_t>(each.id)).u16(static_cast<std::uint16_t>(each.flags));
    page.u8(static_cast<std::uint8_t>(each.value)).u8(static_cast<std::uint8_t>(each.value));
    page.u32(static_cast<std::uint32_t>(each.raw)).u16(static_cast<std::uint16_t>(each.raw >> 32));
    page.u8(0);
  }
  Bytes bytes = page.pad_to(512).take();
  set_checksum(bytes);
  return bytes;
}

Bytes thresholds(const std::vector<std::pair<int, int>>& values) {
  ByteWriter page;
  page.u16(0x10);
  for (const auto& [id, threshold] : values) {
    page.u8(static_cast<std::uint8_t>(id)).u8(static_cast<std::uint8_t>(threshold)).zeros(10);
  }
  Bytes bytes = page.pad_to(512).take();
  set_checksum(bytes);
  return bytes;
}

}  // namespace

TEST_CASE("SMART attributes become the health of a drive") {
  const Bytes data = smart_data({{5, 0x33, 200, 0},
                                 {9, 0x32, 95, 0x0012'0000'0F00},
                                 {194, 0x22, 120, 0x0031'0014'001F},
                                 {197, 0x32, 200, 3},
                                 {198, 0x30, 200, 0},
                                 {199, 0x32, 200, 17}});
  const Health health = health_of(parse_smart(data, thresholds({{5, 140}, {194, 0}})), false);
  CHECK_FALSE(health.failing);
  CHECK(health.has_bad_sectors());
  CHECK(health.reallocated == 0);
  CHECK(health.pending == 3);
  CHECK(health.crc_errors == 17);
  CHECK(health.hours == 0x0F00);
  CHECK(health.celsius == 31);
}

TEST_CASE("a drive fails by its own account, or by an attribute at its threshold") {
  const Bytes worn = smart_data({{5, 0x33, 140, 1900}});
  CHECK(health_of(parse_smart(worn, thresholds({{5, 140}})), false).failing);
  CHECK_FALSE(health_of(parse_smart(worn, {}), false).failing);
  CHECK(health_of(parse_smart(worn, {}), true).failing);
  // An attribute of age only, at its threshold, is no failure.
  const Bytes old = smart_data({{9, 0x32, 1, 90'000}});
  CHECK_FALSE(health_of(parse_smart(old, thresholds({{9, 1}})), false).failing);
  Bytes damaged = worn;
  damaged[100] ^= std::byte{1};
  CHECK_THROWS_AS(parse_smart(damaged, {}), FormatError);
}

// The pages are put together word by word from the standard's tables.
#include <catch2/catch.hpp>
#include <functional>
#include <numeric>

#include "drive/inventory/ata_commands.h"
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

namespace {

// Sense data as the kernel gives them: with descriptors, and in the fixed format.
Bytes descriptor_sense(unsigned key, std::uint64_t lba, bool extended = false) {
  Bytes sense(22);
  const auto put = [&](std::size_t at, std::uint64_t value) {
    sense[at] = static_cast<std::byte>(value & 0xFF);
  };
  put(0, 0x72);
  put(1, key);
  put(3, 0x1D);
  put(7, 14);
  put(8, 9);
  put(9, 12);
  put(10, extended ? 1 : 0);
  put(15, lba);
  put(17, lba >> 8);
  put(19, lba >> 16);
  put(14, lba >> 24);
  put(16, lba >> 32);
  put(18, lba >> 40);
  return sense;
}

Bytes fixed_sense(unsigned key, std::uint8_t asc = 0, std::uint8_t ascq = 0) {
  Bytes sense(18);
  sense[0] = std::byte{0x70};
  sense[2] = static_cast<std::byte>(key);
  sense[7] = std::byte{10};
  sense[12] = static_cast<std::byte>(asc);
  sense[13] = static_cast<std::byte>(ascq);
  return sense;
}

using Kind = AtaAnswer::Kind;

Kind kind_of(const SgResult& result) { return understand(result).kind; }

constexpr std::uint64_t kNotFailing = 0xC24F00;
constexpr std::uint64_t kFailing = 0x2CF400;

// A drive that answers, but for what is done to one of its answers.
struct FakeDrive {
  std::function<AtaAnswer(const AtaCommand&)> instead = [](const AtaCommand&) {
    return AtaAnswer{};
  };
  std::uint64_t status = kNotFailing;
  Bytes identify = red_drive().take();
  int asked = 0;

  AtaAnswer operator()(const AtaCommand& command, MutableByteView page) {
    ++asked;
    AtaAnswer answer = instead(command);
    if (answer.kind != Kind::kDone) return answer;
    if (command.command == 0xEC) std::ranges::copy(identify, page.begin());
    if (command.command == 0x27) answer.lba = kNativeSectors - 1;
    if (command.command == 0xB0 && command.feature == 0xDA) answer.lba = status;
    return answer;
  }

  static constexpr std::uint64_t kNativeSectors = 0x1D1C0BEB0 + 2048;
};

AtaPages pages_of(FakeDrive& drive) {
  return read_ata_pages([&](const auto& command, auto page) { return drive(command, page); },
                        "sdb");
}

}  // namespace

TEST_CASE("a device that says no is told from one that says nothing") {
  CHECK(kind_of({}) == Kind::kDone);
  CHECK(kind_of({.status = 2, .sense = fixed_sense(5, 0x20)}) == Kind::kRefused);
  CHECK(kind_of({.status = 2, .sense = fixed_sense(0xB)}) == Kind::kRefused);
  CHECK(kind_of({.status = 2, .sense = fixed_sense(6, 0x29)}) == Kind::kAgain);
  CHECK(kind_of({.asked = 512, .missing = 512}) == Kind::kRefused);

  CHECK(kind_of({.asked = 512, .missing = 8}) == Kind::kFailed);
  CHECK(kind_of({.status = 2}) == Kind::kFailed);
  CHECK(kind_of({.status = 2, .sense = Bytes(18)}) == Kind::kFailed);
  CHECK(kind_of({.status = 8}) == Kind::kFailed);
  for (const unsigned key : {2U, 3U, 4U, 7U, 0xDU}) {
    CHECK(kind_of({.status = 2, .sense = fixed_sense(key)}) == Kind::kFailed);
  }
  for (std::uint16_t host = 1; host < 20; ++host) {
    const AtaAnswer answer = understand({.host_status = host});
    CHECK(answer.kind == Kind::kFailed);
    CHECK_FALSE(answer.problem.empty());
  }
}

TEST_CASE("registers come in sense data of both formats, and only with a command that was done") {
  const auto lba = [](ByteView sense) { return understand({.status = 2, .sense = sense}).lba; };
  CHECK(lba(descriptor_sense(1, 0xC24F01)) == 0xC24F01U);
  CHECK(lba(descriptor_sense(1, 0x010203C24F01)) == 0xC24F01U);
  CHECK(lba(descriptor_sense(1, 0x010203C24F01, true)) == 0x010203C24F01U);
  CHECK_FALSE(lba(descriptor_sense(0xB, 0xC24F00)));
  Bytes fixed = fixed_sense(1, 0, 0x1D);
  fixed[10] = std::byte{0x4F};
  fixed[11] = std::byte{0xC2};
  CHECK(lba(fixed) == 0xC24F00U);
  fixed[8] = std::byte{0x20};
  CHECK_FALSE(lba(fixed));
  CHECK_FALSE(lba(fixed_sense(1)));
  CHECK_FALSE(lba(ByteView(descriptor_sense(1, 7)).first(8)));
}

TEST_CASE("a drive is asked for its pages, its health and what it hides") {
  FakeDrive drive;
  const AtaPages pages = pages_of(drive);
  CHECK(pages.identify);
  CHECK(pages.smart);
  CHECK(pages.thresholds);
  CHECK(pages.predicts_failure == false);
  CHECK(pages.native_sectors == FakeDrive::kNativeSectors);
  CHECK(drive.asked == 5);
  drive.status = kFailing;
  CHECK(pages_of(drive).predicts_failure == true);
  drive.status = 0;
  CHECK_FALSE(pages_of(drive).predicts_failure);
  Page open = red_drive();
  open.word(82, 0x746B & ~(1U << 10));
  drive.identify = open.take();
  CHECK_FALSE(pages_of(drive).native_sectors);
}

TEST_CASE("the health of a drive is unknown with SMART turned off, and none without SMART") {
  FakeDrive drive;
  Page off = red_drive();
  off.word(85, 0x7468);
  drive.identify = off.take();
  CHECK(pages_of(drive).smart_problem.find("smartctl --smart=on sdb") != std::string::npos);
  CHECK_THROWS_AS(health_in(pages_of(drive), "sdb"), Error);
  Page without = red_drive();
  without.word(82, 0x746A);
  drive.identify = without.take();
  CHECK(pages_of(drive).smart_problem.empty());
  CHECK_FALSE(health_in(pages_of(drive), "sdb"));
}

TEST_CASE("whichever command gets lost, nothing is taken for the answer") {
  for (const int feature : {0x00, 0xD0, 0xD1, 0xDA}) {
    CAPTURE(feature);
    const auto is_it = [feature](const AtaCommand& each) {
      return each.feature == feature && each.command == (feature == 0 ? 0xEC : 0xB0);
    };
    FakeDrive drive;
    drive.instead = [&](const AtaCommand& each) {
      return is_it(each) ? AtaAnswer{Kind::kFailed, "it did not answer in time", {}} : AtaAnswer{};
    };
    if (feature == 0) {
      CHECK_THROWS_AS(pages_of(drive), Error);
    } else {
      CHECK_FALSE(pages_of(drive).smart_problem.empty());
    }
    // Once more is enough after a reset, and not too often.
    int resets = 1;
    drive.instead = [&](const AtaCommand& each) {
      return is_it(each) && resets-- > 0 ? AtaAnswer{Kind::kAgain, {}, {}} : AtaAnswer{};
    };
    CHECK(pages_of(drive).smart_problem.empty());
    resets = 2;
    if (feature == 0) {
      CHECK_THROWS_AS(pages_of(drive), Error);
    } else {
      CHECK_FALSE(pages_of(drive).smart_problem.empty());
    }
    drive.instead = [&](const AtaCommand& each) {
      return is_it(each) ? AtaAnswer{Kind::kRefused, {}, {}} : AtaAnswer{};
    };
    const AtaPages refused = pages_of(drive);
    CHECK(refused.identify.has_value() == (feature != 0));
    // Registers are what bridges keep to themselves; a page that is refused is not known.
    CHECK(refused.smart_problem.empty() == (feature == 0x00 || feature == 0xDA));
    if (feature == 0xDA) CHECK_FALSE(refused.predicts_failure);
  }
}

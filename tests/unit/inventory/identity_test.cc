#include "drive/inventory/identity.h"

#include <catch2/catch.hpp>

#include "drive/inventory/device_text.h"

using namespace driveprep::inventory;

namespace {

IdentityReports reports(Bus bus, std::vector<Statement> serials) {
  IdentityReports result;
  result.bus = bus;
  result.serials = std::move(serials);
  return result;
}

}  // namespace

TEST_CASE("what a device says of itself is shown without padding and controls") {
  CHECK(clean_device_text("     WD-WX51A1234567") == "WD-WX51A1234567");
  CHECK(clean_device_text("WDC  WD40EFRX \0\x1b[2J\x7f ") == "WDC WD40EFRX");
  CHECK(clean_device_text("\xE2\x80\xAEgnp") == "gnp");
  CHECK(clean_device_text("   ").empty());
}

TEST_CASE("placeholders are no serial numbers") {
  for (const char* serial :
       {"", "A1", "ABC", "00000000000", "FFFFFFFF", "0123456789ABCDEF", "0123456789abcdef",
        "123456789012", "1234567890", "ABCDEFGH", "9876543210"}) {
    CHECK_FALSE(is_telling_serial(serial));
  }
  for (const char* serial : {"WD-WX51A1234567", "S3Z9NB0K123456", "ZA1B", "9VP0AHT1", "50026B7"}) {
    CHECK(is_telling_serial(serial));
  }
}

TEST_CASE("the drive's own word counts more than that of its enclosure") {
  const DriveIdentity identity = conclude(
      reports(Bus::kUsb, {{"BRIDGE-0001A", Source::kUsb}, {"ZA1B2C3D", Source::kAtaIdentify}}));
  CHECK(identity.trust == Trust::kStrong);
  CHECK(identity.serial == Statement{"ZA1B2C3D", Source::kAtaIdentify});
}

TEST_CASE("a serial number that only the enclosure tells is weak") {
  CHECK(conclude(reports(Bus::kUsb, {{"BRIDGE-0001A", Source::kUsb}})).trust == Trust::kWeak);
  CHECK(conclude(reports(Bus::kUsb, {{"BRIDGE-0001A", Source::kUnitSerial}})).trust ==
        Trust::kWeak);
  CHECK(conclude(reports(Bus::kOther, {{"RAID-0001A", Source::kUnitSerial}})).trust ==
        Trust::kWeak);
  CHECK(conclude(reports(Bus::kSata, {{"ZA1B2C3D", Source::kUnitSerial}})).trust == Trust::kStrong);
  CHECK(conclude(reports(Bus::kSas, {{"ZA1B2C3D", Source::kUnitSerial}})).trust == Trust::kStrong);
}

TEST_CASE("reliable sources that differ are no identity") {
  const DriveIdentity identity = conclude(
      reports(Bus::kSata, {{"ZA1B2C3D", Source::kAtaIdentify}, {"ZA1B2C3E", Source::kUnitSerial}}));
  CHECK(identity.trust == Trust::kContradictory);
  CHECK(identity.contradiction == "ZA1B2C3D (ata-identify), ZA1B2C3E (vpd-80)");
}

TEST_CASE("placeholders neither tell nor contradict") {
  const DriveIdentity identity = conclude(
      reports(Bus::kSata, {{"0000000000", Source::kAtaPage}, {"ZA1B2C3D", Source::kUnitSerial}}));
  CHECK(identity.trust == Trust::kStrong);
  CHECK(identity.serial->value == "ZA1B2C3D");
  CHECK(conclude(reports(Bus::kSata, {{"0000000000", Source::kAtaIdentify}})).trust ==
        Trust::kNone);
  CHECK(conclude(reports(Bus::kSata, {})).trust == Trust::kNone);
}

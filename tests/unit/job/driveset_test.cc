#include "agent/job/driveset.h"

#include <catch2/catch.hpp>

#include "agent/job/csv.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using driveprep::test::error_of;
using job::DriveRow;

namespace {

const std::string kHeader =
    "DriveLetter,FormatOption,SilentOrPromptOnFormat,Encryption,ExistingBitLockerKey";
constexpr const char* kKey = "060456-014509-132033-080300-252615-584177-672089-411631";

job::Driveset parse(const std::string& text) {
  return job::parse_driveset(text, "/jobs/one/driveset.csv");
}
// Rows in the five-column form.
std::string refusal(const std::string& rows) {
  return error_of([&] { parse(kHeader + "\n" + rows + "\n"); });
}
std::string message(const std::string& rows) {
  try {
    parse(kHeader + "\n" + rows + "\n");
  } catch (const Error& error) {
    return error.what() + std::string(" ") + error.remedy();
  }
  return "";
}

}  // namespace

TEST_CASE("a device is named by what stays its own") {
  const std::string rest = ",Format,SilentMode,Encrypt,";
  for (const char* name :
       {"/dev/sdb", "/dev/nvme0n1", "/dev/../dev/sdb", "/dev/disk/by-path/pci-0",
        "/dev/disk/by-uuid/1", "/dev/mapper/x", "/dev/loop", "/dev/loop0p1", "/dev/loop-control",
        "/dev/sub/loop0", "/dev/disk/by-id/../../sdb", "/dev/disk/by-id/x/y"}) {
    CAPTURE(name);
    CHECK(refusal(name + rest) == "usage/csv-drive-node");
  }
  for (const char* name : {"/dev/disk/by-id/ata-X", "/dev//disk/by-id/./wwn-0x5", "/dev/loop17"}) {
    CAPTURE(name);
    CHECK(refusal(name + rest).empty());
  }
  CHECK(message("/dev/sdb" + rest).find("/dev/sdb") != std::string::npos);
}

TEST_CASE("devices, serial numbers and images are told apart") {
  const auto drives = parse(kHeader +
                            ",DriveId,SectorSize\n"
                            "/dev/disk/by-id/ata-X_1,Format,SilentMode,Encrypt,,,\n"
                            "serial:ZC1A0F7K,Format,PromptOnFormat,Encrypt,,ZC1A0F7K,\n"
                            "disk0.img,Format,SilentMode,Encrypt,,IMAGE0,4096\n"
                            "/srv/disk1.img,Format,SilentMode,Encrypt,,IMAGE1,512\n")
                          .rows;
  REQUIRE(drives.size() == 4);
  CHECK(drives[0].kind == DriveRow::Kind::kDevice);
  CHECK(drives[0].path == "/dev/disk/by-id/ata-X_1");
  CHECK(drives[0].drive_id.empty());
  CHECK_FALSE(drives[0].prompt_on_format);
  CHECK(drives[1].kind == DriveRow::Kind::kSerial);
  CHECK(drives[1].serial == "ZC1A0F7K");
  CHECK(drives[1].prompt_on_format);
  CHECK(drives[2].kind == DriveRow::Kind::kImage);
  CHECK(drives[2].path == "/jobs/one/disk0.img");
  CHECK(drives[2].sector_size == 4096);
  CHECK(drives[2].written == "disk0.img");
  CHECK(drives[3].path == "/srv/disk1.img");
  CHECK(drives[3].sector_size == 512);
  CHECK(drives[3].line == 5);
}

TEST_CASE("combinations that the tool being replaced refuses are refused with its messages") {
  CHECK(refusal("/dev/x,Format,,Encrypt,") == "usage/csv-prompt");
  CHECK(message("/dev/x,Format,,Encrypt,").find("SilentOrPromptOnFormat has no value") !=
        std::string::npos);
  CHECK(refusal("/dev/x,Format,Silent,Encrypt,") == "usage/csv-prompt");
  CHECK(refusal("/dev/x,Format,SilentMode,AlreadyEncrypted,") ==
        "usage/csv-format-without-encrypt");
  CHECK(message("/dev/x,Format,SilentMode,AlreadyEncrypted,")
            .find("When Format is specified, Encrypt must also be specified") != std::string::npos);
  CHECK(refusal(std::string("/dev/x,Format,SilentMode,Encrypt,") + kKey) == "usage/csv-key-given");
  CHECK(message(std::string("/dev/x,Format,SilentMode,Encrypt,") + kKey)
            .find("BitLocker Key should not be specified") != std::string::npos);
  CHECK(refusal("/dev/x,Formatted,SilentMode,Encrypt,") == "usage/csv-format-option");
  CHECK(refusal("/dev/x,Format,SilentMode,Encrypted,") == "usage/csv-encryption");
}

TEST_CASE("a volume made by others is refused, with the remedy") {
  CHECK(refusal("/dev/x,AlreadyFormatted,,Encrypt,") == "usage/csv-already-formatted");
  const std::string with_key =
      std::string("/dev/x,AlreadyFormatted,SilentMode,AlreadyEncrypted,") + kKey;
  CHECK(refusal(with_key) == "usage/csv-already-formatted");
  CHECK(message(with_key).find("Write Format and Encrypt") != std::string::npos);
}

TEST_CASE("a key is never repeated, in whatever column it stands") {
  const std::string key = kKey;
  for (const std::string& row :
       {"/dev/x,Format,SilentMode,Encrypt," + key, "/dev/x," + key + ",SilentMode,Encrypt,",
        "/dev/x,Format," + key + ",Encrypt,", "/dev/x,Format,SilentMode," + key + ",",
        "/dev/x,Format,SilentMode,Encrypt,,,,," + key, key + ",Format,SilentMode,Encrypt,",
        "x" + key + "/,Format,SilentMode,Encrypt,"}) {
    const std::string text = message(row);
    CHECK_FALSE(text.empty());
    CHECK(text.find("060456") == std::string::npos);
  }
}

TEST_CASE("a key among the column names is not repeated either") {
  try {
    parse(kHeader + "," + kKey + "\n");
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == "csv-unknown-column");
    CHECK(std::string(error.what()).find("060456") == std::string::npos);
  }
  CHECK(job::shown("ZC1A0F7K") == "ZC1A0F7K");
  CHECK(job::shown("/images/" + std::string(60, 'a')) == "/images/" + std::string(60, 'a'));
  CHECK(job::shown("BAmhVXCKJcKmQrU4ySvvOAgkUQDtSn4gkkTTHFNx1jo=").find("BAmh") ==
        std::string::npos);
}

TEST_CASE("targets that are none are refused") {
  CHECK(refusal("G,Format,SilentMode,Encrypt,") == "usage/csv-drive-letter");
  CHECK(refusal("g:,Format,SilentMode,Encrypt,") == "usage/csv-drive-letter");
  CHECK(refusal(",Format,SilentMode,Encrypt,") == "usage/csv-drive-letter");
  CHECK(refusal("serial:,Format,SilentMode,Encrypt,") == "usage/csv-drive-letter");
  CHECK(refusal("images/,Format,SilentMode,Encrypt,") == "usage/csv-drive-letter");
}

TEST_CASE("drive ids are needed for images, are serial numbers, and are unique") {
  const auto rows = [](const std::string& text) {
    return error_of([&] { parse(kHeader + ",DriveId,SectorSize\n" + text); });
  };
  CHECK(refusal("disk.img,Format,SilentMode,Encrypt,") == "usage/csv-drive-id-missing");
  CHECK(rows("disk.img,Format,SilentMode,Encrypt,,A B,\n") == "usage/csv-drive-id");
  CHECK(rows("disk.img,Format,SilentMode,Encrypt,,../x,\n") == "usage/csv-drive-id");
  CHECK(rows("disk.img,Format,SilentMode,Encrypt,,X,1024\n") == "usage/csv-sector-size");
  CHECK(rows("a.img,Format,SilentMode,Encrypt,,X,\nb.img,Format,SilentMode,Encrypt,,x,\n") ==
        "usage/csv-drive-id-repeated");
  CHECK(rows("a.img,Format,SilentMode,Encrypt,,X,\n./a.img,Format,SilentMode,Encrypt,,Y,\n") ==
        "usage/csv-drive-repeated");
  CHECK(job::is_valid_drive_id("WD-WX11_A.5"));
  CHECK_FALSE(job::is_valid_drive_id(""));
  CHECK_FALSE(job::is_valid_drive_id(std::string(65, 'a')));
}

TEST_CASE("a job takes between one and ten drives") {
  std::string rows;
  for (int i = 0; i < 10; ++i) {
    rows += "serial:S" + std::to_string(i) + ",Format,SilentMode,Encrypt,\n";
  }
  CHECK(refusal(rows).empty());
  CHECK(refusal(rows + "serial:S10,Format,SilentMode,Encrypt,") == "usage/csv-too-many-drives");
  CHECK(refusal("") == "usage/csv-no-rows");
}

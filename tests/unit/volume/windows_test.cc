#include <catch2/catch.hpp>

#include "agent/volume/extract.h"
#include "bitlocker/encrypted_device.h"
#include "bitlocker/open.h"
#include "drive/block/file_device.h"
#include "tests/support/scratch.h"
#include "tests/support/windows_volumes.h"

using namespace driveprep;
using driveprep::test::error_of;

// Of these volumes hardly more is kept than BitLocker's own structures: what else they hold
// decrypts to noise, a $MFT in which the second record is none.
TEST_CASE("a volume made by Windows without its file system is refused, not believed") {
  for (const test::WindowsVolume& windows : test::windows_volumes()) {
    if (windows.fact("RP").empty() || windows.fact("SHA256SUM").empty()) continue;
    CAPTURE(windows.name);
    const auto image = block::open_image_read_only(windows.image, SectorSize(512));
    const auto password = bitlocker::RecoveryPassword::parse(windows.fact("RP"));
    const bitlocker::OpenedVolume opened = bitlocker::open_volume(*image, password.clone());
    const bitlocker::DecryptedDevice plain(*image, opened.layout, opened.cipher);
    const bool fat = windows.name.find("togo") != std::string::npos;
    CHECK(error_of([&] { ntfs::FileTree tree(plain); }) ==
          (fat ? "refused/file-system-unsupported" : "verification/volume-mount"));
  }
}

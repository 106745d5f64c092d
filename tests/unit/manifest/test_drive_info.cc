#include <catch2/catch.hpp>

#include "agent/manifest/drive_info.h"
#include "base/posix.h"
#include "tests/unit/manifest/worked_example.h"

namespace driveprep::manifest {
namespace {

TEST_CASE("the drive information has the published form, without a key") {
  const test::ScratchDirectory directory;
  const auto path = directory.path() / "DriveInfo.xml";
  DriveInfo info;
  info.drive_id = "ZC1A0F7K";
  info.manifest_md5_hex = "D863FE44F861AE0DA4DCEAEEFFCCCE68";
  write_drive_info(path, info);
  CHECK(posix::read_file(path, 4096, ErrorKind::kWrite) ==
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<Drive>\n"
        "  <DriveId>ZC1A0F7K</DriveId>\n"
        "  <ManifestFile>\\DriveManifest.xml</ManifestFile>\n"
        "  <ManifestHash>D863FE44F861AE0DA4DCEAEEFFCCCE68</ManifestHash>\n"
        "</Drive>\n");
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}

TEST_CASE("a drive id is escaped, or refused when XML cannot hold it") {
  DriveInfo info;
  info.drive_id = "A&<B";
  CHECK(drive_info_xml(info).find("<DriveId>A&amp;&lt;B</DriveId>") != std::string::npos);
  info.drive_id = "A\x01";
  CHECK(error_of([&] { drive_info_xml(info); }) == "usage/manifest-invalid-value");
}

}  // namespace
}  // namespace driveprep::manifest

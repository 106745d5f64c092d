// The independent checker agrees with what we write, and finds what is wrong.
#include <catch2/catch.hpp>
#include <fstream>

#include "base/encoding.h"
#include "base/subprocess.h"
#include "tests/unit/manifest/worked_example.h"

namespace driveprep::manifest {
namespace {

constexpr const char* kPython = "/usr/bin/python3";

void put(const std::filesystem::path& file, std::string_view text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

// The worked example as a drive; the manifest in its root.
void make_drive(const std::filesystem::path& root) {
  const Bytes a = counting_bytes(10 * kMiB);
  const Bytes disk = worked_example_disk();
  put(root / "photos#1/meta.xml", kMetadataXml);
  put(root / "photos#1/props.xml", kPropertiesXml);
  put(root / "photos#1/2023/a.bin", as_text(a));
  put(root / "photos#1/readme.txt", kReadme);
  put(root / "vhds#1/disk0.vhd", as_text(disk));
  put(root / "DriveManifest.xml", kWorkedExample);
}

SubprocessResult check(const std::filesystem::path& root, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {DRIVEPREP_CHECK_MANIFEST,
                                        (root / "DriveManifest.xml").string(), root.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_subprocess(kPython, arguments);
}

TEST_CASE("the independent checker passes the worked example and finds every kind of damage") {
  if (!std::filesystem::exists(kPython)) {
    WARN("skipped: python3 is not installed");
    return;
  }
  const test::ScratchDirectory directory;
  const auto& root = directory.path();
  make_drive(root);
  const std::string md5_hex = hex_upper(md5(as_bytes(kWorkedExample)));
  {
    const SubprocessResult result = check(root, {"--hash", md5_hex});
    INFO(result.output);
    CHECK(result.exit_status == 0);
    CHECK(result.output.find("3 blobs, 6 pieces") != std::string::npos);
  }
  const auto finds = [&](const char* what, std::vector<std::string> more = {}) {
    const SubprocessResult result = check(root, std::move(more));
    INFO(result.output);
    CHECK(result.exit_status == 1);
    CHECK(result.output.find(what) != std::string::npos);
  };
  SECTION("the hash of the manifest") {
    finds("the manifest's MD5", {"--hash", "00000000000000000000000000000000"});
  }
  SECTION("a changed byte") {
    put(root / "photos#1/readme.txt", "hello, exports");
    finds("readme.txt");
  }
  SECTION("a missing file") {
    std::filesystem::remove(root / "photos#1/2023/a.bin");
    finds("a.bin");
  }
  SECTION("a longer file") {
    put(root / "photos#1/readme.txt", "hello, import\n\n");
    finds("has 15 bytes");
  }
  SECTION("a page that is not zero outside the ranges") {
    Bytes disk = worked_example_disk();
    disk[5 * kMiB] = std::byte{1};
    put(root / "vhds#1/disk0.vhd", as_text(disk));
    finds("not zero");
  }
  SECTION("a changed metadata file") {
    put(root / "photos#1/meta.xml", "<Metadata/>");
    finds("meta.xml");
  }
  SECTION("a gap between blocks") {
    put(root / "DriveManifest.xml",
        replaced(kWorkedExample, "Offset=\"4194304\"", "Offset=\"4194305\""));
    finds("gap");
  }
  SECTION("a file that no blob names") {
    put(root / "photos#1/extra.txt", "x");
    finds("extra.txt");
  }
}

}  // namespace
}  // namespace driveprep::manifest

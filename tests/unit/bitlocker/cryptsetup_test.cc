// Created volumes seen by another implementation.
#include <filesystem>

#include "base/posix.h"
#include "base/subprocess.h"
#include "drive/block/file_device.h"
#include "made_volume.h"
#include "tests/support/scratch.h"

namespace driveprep::bitlocker {
namespace {

namespace fs = std::filesystem;

const fs::path kCryptsetup = "/usr/sbin/cryptsetup";

// The hexadecimal digits that bitlkDump prints after "MK dump:".
std::string dumped_key(const std::string& output) {
  const std::size_t at = output.find("MK dump:");
  if (at == std::string::npos) return {};
  std::string digits;
  for (const char c : output.substr(at + 8)) {
    if (std::isxdigit(static_cast<unsigned char>(c)) != 0) digits.push_back(c);
  }
  return digits;
}

TEST_CASE("cryptsetup gets the same volume key out of created volumes", "[integration]") {
  if (!fs::exists(kCryptsetup)) {
    WARN("skipped: " << kCryptsetup << " is not installed");
    return;
  }
  for (const Cipher cipher :
       {Cipher::kXtsAes128, Cipher::kXtsAes256, Cipher::kAesCbc128, Cipher::kAesCbc256}) {
    for (const std::uint64_t sector : {512, 4096}) {
      INFO(to_string(cipher) << " " << sector);
      const test::ScratchDirectory directory;
      const MadeVolume made(cipher, SectorSize(sector));
      const fs::path image = directory / "volume.img";
      {
        const UniqueFd fd = posix::open(image, O_RDWR | O_CREAT | O_TRUNC, ErrorKind::kWrite);
        Bytes buffer(kMiB);
        for (std::uint64_t at = 0; at < made.partition.size(); at += buffer.size()) {
          made.partition.read(at, buffer);
          posix::pwrite_all(fd.get(), at, buffer, "volume.img", ErrorKind::kWrite);
        }
      }
      // Test secrets: these volumes hold nothing.
      const fs::path recovery = directory.file("recovery", as_bytes(made.recovery.text()));
      const fs::path key_file = directory.file(made.created.external_key->name,
                                               made.created.external_key->content.span());
      for (const fs::path& credential : {recovery, key_file}) {
        const SubprocessResult result =
            run_subprocess(kCryptsetup, {"bitlkDump", "--dump-volume-key", "--batch-mode",
                                         "--key-file", credential.string(), image.string()});
        INFO(credential.filename() << ": " << result.output);
        CHECK(result.exit_status == 0);
        CHECK_THAT(result.output, Catch::Contains(made.created.volume_id.lower()));
        CHECK(dumped_key(result.output) == hex(made.created.fvek));
      }
    }
  }
}

}  // namespace
}  // namespace driveprep::bitlocker

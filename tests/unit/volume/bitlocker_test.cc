#include <catch2/catch.hpp>

#include "agent/volume/extract.h"
#include "bitlocker/create.h"
#include "bitlocker/encrypted_device.h"
#include "bitlocker/open.h"
#include "tests/support/scratch.h"
#include "tests/unit/volume/own_volume.h"

using namespace driveprep;
using namespace driveprep::volume;
using driveprep::ntfs::test::content_of;
using driveprep::test::ScratchDirectory;
using driveprep::volume::test::bytes_of;
using driveprep::volume::test::manifest_of;

TEST_CASE(
    "files come out of an encrypted volume by its recovery password, and match its manifest") {
  constexpr std::uint64_t kSize = 128 * kMiB;
  const SectorSize sector(512);
  std::map<std::string, Bytes> files = {{"s/a/one", content_of(100, 1)},
                                        {"s/a/two", content_of(70'000, 2)},
                                        {"s/large", content_of(40'000'001, 3)}};
  block::MemoryDevice partition(kSize);
  const ntfs::FormattedVolume formatted =
      ntfs::format_volume({kSize, sector, Lba{2048}, "SEALED", {}});
  const bitlocker::VolumeLayout layout =
      bitlocker::place_metadata(kSize, sector, 4096, formatted.occupied());
  const bitlocker::RecoveryPassword password = bitlocker::RecoveryPassword::random();
  {
    bitlocker::CreatedVolume created =
        bitlocker::create_volume({.cipher = bitlocker::Cipher::kXtsAes128,
                                  .recovery_password = &password,
                                  .password = {},
                                  .external_key = false,
                                  .description = "TEST"},
                                 layout);
    bitlocker::erase_volume_header(partition);
    bitlocker::write_metadata(partition, layout, created.metadata);
    bitlocker::EncryptedDevice plain(
        partition, layout,
        std::make_shared<bitlocker::SectorCipher>(bitlocker::Cipher::kXtsAes128,
                                                  std::move(created.fvek), sector));
    formatted.copy_to(plain);
    ntfs::DirectSink sink(plain);
    ntfs::VolumeWriter writer(plain, sink, {});
    std::vector<ntfs::ReservedFile> reserved;
    for (const bitlocker::ReservedFile& owned : layout.reserved_files()) {
      reserved.push_back({utf16_from_utf8(owned.name).value(), owned.range});
    }
    writer.reserve(reserved);
    volume::test::write_files(writer, plain, files);
    volume::test::write_files(writer, plain, {{"DriveManifest.xml", manifest_of(files)}});
    ntfs::test::finish(writer);
    Bytes boot_sector(sector.bytes());
    plain.read(0, boot_sector);
    bitlocker::write_boot_region(partition, layout, boot_sector);
  }

  const bitlocker::OpenedVolume opened = bitlocker::open_volume(partition, password.clone());
  const bitlocker::DecryptedDevice plain(partition, opened.layout, opened.cipher);
  ntfs::FileTree tree(plain);
  const ScratchDirectory scratch;
  ExtractRequest request;
  request.path = "s";
  request.output = scratch.path();
  const ExtractReport report = extract(tree, request);
  CHECK(report.ok());
  CHECK(report.manifest->compared == 3);
  for (const auto& [path, content] : files) {
    CHECK(bytes_of(posix::read_file(scratch / path, kGiB, ErrorKind::kInternal)) == content);
  }
}

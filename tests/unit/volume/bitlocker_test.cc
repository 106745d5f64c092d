#include <catch2/catch.hpp>

#include "agent/volume/empty_volume.h"
#include "agent/volume/extract.h"
#include "bitlocker/encrypted_device.h"
#include "bitlocker/open.h"
#include "bitlocker/volume_header.h"
#include "tests/support/scratch.h"
#include "tests/unit/volume/own_volume.h"

using namespace driveprep;
using namespace driveprep::volume;
using driveprep::ntfs::test::content_of;
using driveprep::test::ScratchDirectory;
using driveprep::volume::test::bytes_of;
using driveprep::volume::test::manifest_of;

namespace {

constexpr std::uint64_t kSize = 128 * kMiB;

EmptyVolume make_empty(const bitlocker::RecoveryPassword& password) {
  ntfs::FormatRequest format;
  format.volume_bytes = kSize;
  format.sector = SectorSize(512);
  format.partition_start = Lba{2048};
  format.label = "SEALED";
  return make_empty_volume(format, [&] {
    return bitlocker::NewVolume({.cipher = bitlocker::Cipher::kXtsAes128,
                                 .recovery_password = &password,
                                 .description = "TEST"});
  });
}

}  // namespace

TEST_CASE("a new volume is taken for none before its last write") {
  const bitlocker::RecoveryPassword password = bitlocker::RecoveryPassword::random();
  const EmptyVolume empty = make_empty(password);
  const Guid id = empty.created.volume_id;
  block::MemoryDevice partition(kSize);
  unsigned headers = 0;
  bool header_last = false;
  partition.before_write = [&](std::uint64_t, std::uint64_t offset, ByteView data) {
    header_last = offset == 0 && bitlocker::parse_volume_header(data.first(512)).kind !=
                                     bitlocker::VolumeKind::kNone;
    if (header_last) ++headers;
  };
  write_whole_volume(empty, partition);
  CHECK(headers == 1);
  CHECK(header_last);
  CHECK(bitlocker::open_volume(partition, password.clone()).volume_id == id);
}

TEST_CASE("a volume needs a key") { CHECK_THROWS_AS(bitlocker::NewVolume({}), Error); }

TEST_CASE(
    "files come out of an encrypted volume by its recovery password, and match its manifest") {
  std::map<std::string, Bytes> files = {{"s/a/one", content_of(100, 1)},
                                        {"s/a/two", content_of(70'000, 2)},
                                        {"s/large", content_of(40'000'001, 3)}};
  block::MemoryDevice partition(kSize);
  const bitlocker::RecoveryPassword password = bitlocker::RecoveryPassword::random();
  write_whole_volume(make_empty(password), partition);
  const bitlocker::OpenedVolume opened = bitlocker::open_volume(partition, password.clone());
  {
    bitlocker::EncryptedDevice plain(partition, opened.layout, opened.cipher);
    ntfs::DirectSink sink(plain);
    ntfs::VolumeWriter writer(plain, sink, {});
    volume::test::write_files(writer, plain, files);
    volume::test::write_files(writer, plain, {{"DriveManifest.xml", manifest_of(files)}});
    ntfs::test::finish(writer);
  }

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

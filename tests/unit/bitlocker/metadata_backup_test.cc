#include "bitlocker/metadata_backup.h"

#include <catch2/catch.hpp>

#include "made_volume.h"

namespace driveprep::bitlocker {
namespace {

Credential key_of(const MadeVolume& volume) {
  return ExternalKeyCredential{volume.created.external_key->content.clone()};
}

std::string code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  return "nothing thrown";
}

void destroy_everything(MadeVolume& volume) {
  const Bytes noise(kMetadataSize, std::byte{0xA5});
  for (const ByteRange& range : volume.layout.hidden_ranges()) {
    volume.partition.write(range.offset, ByteView(noise).first(range.length));
  }
  volume.partition.write(0, ByteView(noise).first(kBootRegionSize));
}

}  // namespace

TEST_CASE("a volume that lost everything comes back from its backup, in both sector sizes") {
  for (const std::uint64_t sector : {512, 4096}) {
    MadeVolume made(Cipher::kXtsAes128, SectorSize(sector));
    const Bytes relocated(kBootRegionSize, std::byte{0x77});
    made.partition.write(made.layout.header_backup, relocated);
    const SecretBytes saved = serialise(back_up_metadata(made.partition, examine(made.partition)));
    CHECK(saved.size() < 32 * kKiB);
    destroy_everything(made);
    CHECK_FALSE(examine(made.partition, {.search = Search::kEverywhere}).has_sound_copy());

    restore_metadata(made.partition, parse_metadata_backup(saved));
    const OpenedVolume opened = open_volume(made.partition, key_of(made));
    CHECK(opened.volume_id == made.created.volume_id);
    CHECK(opened.layout == made.layout);
    Bytes back(kBootRegionSize);
    made.partition.read(made.layout.header_backup, back);
    CHECK((back == relocated));
    Bytes boot = ntfs_boot_sector(SectorSize(sector), 4096);
    CHECK_FALSE(header_difference(made.partition, made.layout, boot));
  }
}

TEST_CASE("a backup of a damaged volume takes what is sound, and refuses what is not") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  const Bytes noise(kMetadataSize, std::byte{0xA5});
  made.partition.write(made.layout.metadata[0], noise);
  const MetadataBackup backup = back_up_metadata(made.partition, examine(made.partition));
  CHECK(backup.volume_id() == made.created.volume_id);
  made.partition.write(made.layout.metadata[1], noise);
  made.partition.write(made.layout.metadata[2], noise);
  CHECK(code_of([&] { back_up_metadata(made.partition, examine(made.partition)); }) ==
        "bitlocker-metadata-damaged");
  const block::MemoryDevice empty(64 * kMiB);
  CHECK(code_of([&] { back_up_metadata(empty, examine(empty)); }) == "not-bitlocker");
}

TEST_CASE("a backup does not go onto a partition of another size") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  const MetadataBackup backup = back_up_metadata(made.partition, examine(made.partition));
  block::MemoryDevice other(made.partition.size() + 512);
  CHECK(code_of([&] { restore_metadata(other, backup); }) == "metadata-backup-size");
}

TEST_CASE("what is no backup is refused, however it is cut or changed") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  const SecretBytes good = serialise(back_up_metadata(made.partition, examine(made.partition)));
  for (std::size_t length = 0; length < good.size(); length += length < 64 ? 1 : 97) {
    SecretBytes cut = good.clone();
    cut.truncate(length);
    CHECK(code_of([&] { parse_metadata_backup(cut); }) == "metadata-backup");
  }
  for (const std::size_t at : {0, 16, 20, 24, 28 + 512 + 0x80}) {
    SecretBytes changed = good.clone();
    changed.span()[at] ^= std::byte{0x10};
    CHECK(code_of([&] { parse_metadata_backup(changed); }) == "metadata-backup");
  }
}

}  // namespace driveprep::bitlocker

#include "bitlocker/metadata_backup.h"

#include <catch2/catch.hpp>

#include "bitlocker/protector_edit.h"
#include "made_volume.h"
#include "power_cut.h"

namespace driveprep::bitlocker {
namespace {

Credential key_of(const MadeVolume& volume) {
  return ExternalKeyCredential{volume.created.external_key->content.clone()};
}

void destroy_everything(MadeVolume& volume) {
  const Bytes noise(kMetadataSize, std::byte{0xA5});
  for (const ByteRange& range : volume.layout.hidden_ranges()) {
    volume.partition.write(range.offset, ByteView(noise).first(range.length));
  }
  volume.partition.write(0, ByteView(noise).first(kBootRegionSize));
}

// At every write of restore_metadata(), and within it.
struct Cut {
  std::size_t writes;
  Torn torn;
};
constexpr std::size_t kWrites = 5;  // three copies, relocated part, header

std::vector<Cut> all_cuts() {
  std::vector<Cut> cuts;
  for (std::size_t writes = 0; writes <= kWrites; ++writes) {
    for (const Torn torn : {Torn{0, 0}, Torn{0, 1}, Torn{0, 2}, Torn{0, 15}, Torn{0, 127},
                            Torn{1, 1}, Torn{1, 127}, Torn{8, 8}, Torn{9, 100}}) {
      cuts.push_back({writes, torn});
    }
  }
  return cuts;
}

void restore_until(const Cut& cut, MadeVolume& volume, const MetadataBackup& backup) {
  PowerCut device(volume.partition, cut.writes, cut.torn);
  try {
    restore_metadata(device, backup);
    CHECK(cut.writes == kWrites);
  } catch (const Error& error) {
    CHECK(error.code() == "power-cut");
  }
}

bool opens(const MadeVolume& volume, const Credential& key) {
  try {
    open_volume(volume.partition, examine(volume.partition, {.search = Search::kEverywhere}), key);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Everything stands as it was when the backup was made.
void check_whole(const MadeVolume& volume, const MetadataBackup& backup) {
  const VolumeFacts facts = examine(volume.partition);
  CHECK(facts.header.kind == VolumeKind::kNtfs);
  for (const CopyFacts& copy : facts.copies) {
    REQUIRE(copy.sound());
    CHECK(same(serialise(*copy.metadata), backup.metadata.span()));
  }
  Bytes relocated(backup.relocated.size());
  volume.partition.read(volume.layout.header_backup, relocated);
  CHECK(same(relocated, backup.relocated.span()));
  CHECK(opens(volume, key_of(volume)));
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
  CHECK(error_code([&] { back_up_metadata(made.partition, examine(made.partition)); }) ==
        "bitlocker-metadata-damaged");
  const block::MemoryDevice empty(64 * kMiB);
  CHECK(error_code([&] { back_up_metadata(empty, examine(empty)); }) == "not-bitlocker");
}

TEST_CASE("a backup does not go onto a partition of another size") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  const MetadataBackup backup = back_up_metadata(made.partition, examine(made.partition));
  block::MemoryDevice other(made.partition.size() + 512);
  CHECK(error_code([&] { restore_metadata(other, backup); }) == "metadata-backup-size");
}

TEST_CASE("what is no backup is refused, however it is cut or changed") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  const SecretBytes good = serialise(back_up_metadata(made.partition, examine(made.partition)));
  for (std::size_t length = 0; length < good.size(); length += length < 64 ? 1 : 97) {
    SecretBytes cut = good.clone();
    cut.truncate(length);
    CHECK(error_code([&] { parse_metadata_backup(cut); }) == "metadata-backup");
  }
  for (const std::size_t at : {0, 16, 20, 24, 28 + 512 + 0x80}) {
    SecretBytes changed = good.clone();
    changed.span()[at] ^= std::byte{0x10};
    CHECK(error_code([&] { parse_metadata_backup(changed); }) == "metadata-backup");
  }
}

TEST_CASE(
    "a power cut at every write of a restore of all: it can be run again, and then is whole") {
  for (const std::uint64_t sector : {512, 4096}) {
    for (const Cut& cut : all_cuts()) {
      INFO(cut.writes << " writes, then " << cut.torn.count << " sectors from " << cut.torn.first);
      MadeVolume made(Cipher::kXtsAes128, SectorSize(sector));
      made.partition.write(made.layout.header_backup, pattern(kBootRegionSize));
      const MetadataBackup backup = back_up_metadata(made.partition, examine(made.partition));
      destroy_everything(made);
      restore_until(cut, made, backup);
      // One whole copy opens the volume, so that all but the first write leave one that opens.
      if (cut.writes >= 1) CHECK(opens(made, key_of(made)));
      // What is found now does not keep anybody from going on: no other volume, nothing newer.
      const VolumeFacts facts = examine(made.partition, {.search = Search::kEverywhere});
      if (const CopyFacts* copy = facts.newest()) {
        CHECK(copy->metadata->volume_id == made.created.volume_id);
        CHECK(copy->metadata->next_nonce == parse_metadata(backup.metadata.span()).next_nonce);
      }
      restore_metadata(made.partition, backup);
      check_whole(made, backup);
    }
  }
}

TEST_CASE(
    "a power cut while a volume is restored that lost only a part leaves it open at any time") {
  for (const Cut& cut : all_cuts()) {
    for (const bool header_lost : {false, true}) {
      INFO(cut.writes << " writes, then " << cut.torn.count << " sectors from " << cut.torn.first);
      MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
      made.partition.write(made.layout.header_backup, pattern(kBootRegionSize));
      const MetadataBackup backup = back_up_metadata(made.partition, examine(made.partition));
      const Bytes noise(kMetadataSize, std::byte{0xA5});
      made.partition.write(made.layout.metadata[2], noise);
      made.partition.write(made.layout.metadata[0], noise);
      if (header_lost) made.partition.write(0, ByteView(noise).first(kBootRegionSize));
      restore_until(cut, made, backup);
      CHECK(opens(made, key_of(made)));
      restore_metadata(made.partition, backup);
      check_whole(made, backup);
    }
  }
}

TEST_CASE("a power cut while older metadata is brought back leaves the old or the new keys") {
  for (const Cut& cut : all_cuts()) {
    INFO(cut.writes << " writes, then " << cut.torn.count << " sectors from " << cut.torn.first);
    MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
    const MetadataBackup backup = back_up_metadata(made.partition, examine(made.partition));
    const VolumeFacts facts = examine(made.partition);
    const OpenedVolume opened = open_volume(made.partition, facts, key_of(made));
    ProtectorEdit edit(opened, facts);
    ExternalKeyFile added;
    edit.add_external_key(added);
    edit.remove(*made.created.external_key_protector);
    write_metadata(made.partition, made.layout, std::move(edit).seal());
    const Credential new_key = ExternalKeyCredential{added.content.clone()};
    REQUIRE_FALSE(opens(made, key_of(made)));
    restore_until(cut, made, backup);
    CHECK((opens(made, key_of(made)) || opens(made, new_key)));
    restore_metadata(made.partition, backup);
    check_whole(made, backup);
    CHECK_FALSE(opens(made, new_key));
  }
}

TEST_CASE("a header that leads elsewhere is no part of a backup") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  const MetadataBackup good = back_up_metadata(made.partition, examine(made.partition));
  constexpr std::size_t kSecondOffset = 0xB8;
  made.partition.write(kSecondOffset, Bytes(8, std::byte{0}));
  const VolumeFacts facts = examine(made.partition);
  REQUIRE(facts.has_sound_copy());
  CHECK(error_code([&] { back_up_metadata(made.partition, facts); }) == "bitlocker-header-lost");
  SecretBytes bytes = serialise(good);
  bytes.span()[28 + kSecondOffset] ^= std::byte{0x20};
  CHECK(error_code([&] { parse_metadata_backup(bytes); }) == "metadata-backup");
}

}  // namespace driveprep::bitlocker

#include "bitlocker/examine.h"

#include <catch2/catch.hpp>

#include "bitlocker/copy_search.h"
#include "made_volume.h"

namespace driveprep::bitlocker {
namespace {

void destroy(MadeVolume& volume, std::uint64_t offset, std::size_t length) {
  volume.partition.write(offset, Bytes(length, std::byte{0xA5}));
}

Credential key_of(const MadeVolume& volume) {
  return ExternalKeyCredential{volume.created.external_key->content.clone()};
}

}  // namespace

TEST_CASE("header and copies destroyed in every combination: one copy is enough") {
  for (unsigned destroyed = 0; destroyed < 16; ++destroyed) {
    INFO("destroyed: " << destroyed);
    MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
    const bool no_header = (destroyed & 8) != 0;
    if (no_header) destroy(made, 0, kBootRegionSize);
    for (std::size_t i = 0; i < 3; ++i) {
      if ((destroyed >> i & 1) != 0) destroy(made, made.layout.metadata[i], kMetadataSize);
    }
    const VolumeFacts facts = examine(made.partition, {.search = Search::kLikely});
    CHECK((facts.header.kind == VolumeKind::kNone) == no_header);
    CHECK(facts.has_sound_copy() == ((destroyed & 7) != 7));
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(facts.copies[i].sound() == ((destroyed >> i & 1) == 0));
    }
    if (facts.has_sound_copy()) {
      const OpenedVolume opened = open_volume(made.partition, facts, key_of(made));
      CHECK(opened.volume_id == made.created.volume_id);
      CHECK(opened.layout.metadata == made.layout.metadata);
      CHECK(opened.layout.header_backup == made.layout.header_backup);
      CHECK(opened.layout.volume_size == made.layout.volume_size);
    } else {
      CHECK_THROWS_AS(open_volume(made.partition, facts, key_of(made)), Error);
    }
  }
}

TEST_CASE("a header that points nowhere is no loss") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  Bytes sector(512);
  made.partition.read(0, sector);
  std::fill_n(sector.begin() + 0xB0, 24, std::byte{0x11});
  made.partition.write(0, sector);
  CHECK_FALSE(examine(made.partition).has_sound_copy());
  const VolumeFacts facts = examine(made.partition, {.search = Search::kLikely});
  CHECK(facts.searched);
  CHECK(open_volume(made.partition, facts, key_of(made)).volume_id == made.created.volume_id);
}

TEST_CASE("a device without BitLocker has nothing to find") {
  const block::MemoryDevice empty(64 * kMiB);
  const VolumeFacts facts = examine(empty, {.search = Search::kEverywhere});
  CHECK(facts.header.kind == VolumeKind::kNone);
  CHECK(facts.searched);
  CHECK_FALSE(facts.has_sound_copy());
  CHECK(facts.newest() == nullptr);
  CHECK(facts.copies_agree());
}

TEST_CASE("copies of a large volume are found where they are likely to be") {
  constexpr std::uint64_t kSize = 16 * 1024 * kGiB;
  const VolumeLayout layout = place_metadata(kSize, SectorSize(512), 4096, {});
  const VolumeTemplate& made = VolumeTemplate::of(Cipher::kXtsAes128, SectorSize(512));
  for (std::size_t left = 0; left < 3; ++left) {
    block::MemoryDevice device(kSize);
    Metadata metadata = parse_metadata(made.created.metadata);
    metadata.offsets = layout.metadata;
    metadata.next_nonce += 1;
    seal(metadata, SecretBytes::random(32), Nonce{FileTime::now(), metadata.next_nonce - 1});
    device.write(layout.metadata[left], serialise(metadata));
    std::uint64_t looked_at = 0;
    const auto found = find_copies(device, false, [&](std::uint64_t done, std::uint64_t) {
      looked_at = done;
      return true;
    });
    REQUIRE(found);
    CHECK(*found == layout.metadata);
    CHECK(looked_at < kGiB);
  }
}

TEST_CASE("a search ends when it is told to") {
  const block::MemoryDevice device(64 * kMiB);
  int calls = 0;
  CHECK_FALSE(find_copies(device, true, [&](std::uint64_t, std::uint64_t) { return ++calls < 2; }));
  CHECK(calls == 2);
}

}  // namespace driveprep::bitlocker

#include "bitlocker/metadata.h"

#include <algorithm>
#include <random>

#include "bitlocker/external_key.h"
#include "bitlocker/other_entries.h"
#include "bitlocker/protector.h"
#include "made_volume.h"

namespace driveprep::bitlocker {
namespace {

Bytes sample_block() {
  static const MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  return made.created.metadata;
}

Entry opaque(std::uint16_t role, std::uint16_t type, std::size_t size) {
  Entry entry;
  entry.role = static_cast<Role>(role);
  entry.type = static_cast<ValueType>(type);
  entry.data = pattern(size, role);
  return entry;
}

TEST_CASE("unknown entries are kept byte for byte, at the top and nested") {
  Metadata metadata = parse_metadata(sample_block());
  metadata.entries.insert(metadata.entries.begin() + 1, opaque(0x77, 0x99, 45));
  metadata.entries[2].children.push_back(opaque(0x21, 0x18, 13));
  const Bytes block = serialise(metadata);
  const Metadata again = parse_metadata(block);
  CHECK(again == metadata);
  CHECK(same(serialise(again), block));
}

TEST_CASE("what is not understood is listed with its place, and nothing else") {
  Metadata metadata = parse_metadata(sample_block());
  CHECK(other_entries(metadata).empty());
  const std::vector<ProtectorFacts> found = protectors(metadata.entries);
  metadata.entries.insert(metadata.entries.begin(), opaque(0x77, 0x99, 45));
  const auto protector = std::ranges::find_if(
      metadata.entries, [](const Entry& entry) { return entry.role == Role::kProtector; });
  protector->children.push_back(opaque(0x21, 0x18, 13));
  Entry* stretch = nullptr;
  for (Entry& child : protector->children) {
    if (child.type == ValueType::kStretchKey) stretch = &child;
  }
  REQUIRE(stretch != nullptr);
  stretch->children.push_back(opaque(0x14, 0x02, 20));  // the name of another way to stretch
  Entry backup_info = opaque(0, 0x15, 0);
  backup_info.fixed = Bytes(20);
  protector->children.push_back(backup_info);
  Entry cut;
  cut.role = Role::kProtector;
  cut.type = ValueType::kProtector;
  cut.data = unhex("0011");
  metadata.entries.push_back(cut);

  const std::vector<OtherEntry> others = other_entries(parse_metadata(serialise(metadata)));
  REQUIRE(others.size() == 4);
  CHECK(static_cast<unsigned>(others[0].role) == 0x77);
  CHECK(static_cast<unsigned>(others[0].type) == 0x99);
  CHECK(others[0].size == 8 + 45);
  CHECK_FALSE(others[0].protector);
  CHECK(others[1].role == Role::kStretchingName);
  CHECK(others[1].protector == found.front().id);
  CHECK(static_cast<unsigned>(others[2].type) == 0x18);
  CHECK(others[2].size == 8 + 13);
  CHECK(others[2].protector == found.front().id);
  CHECK(others[3].role == Role::kProtector);
  CHECK_FALSE(others[3].protector);
}

TEST_CASE("rubbish after the last entry, nested rubbish and entries cut short are kept") {
  Metadata metadata = parse_metadata(sample_block());
  metadata.entries_tail = unhex("00000000ffff");
  metadata.entries[1].data = unhex("0700");
  metadata.validation_tail = unhex("0102030405");
  Entry cut;
  cut.type = ValueType::kProtector;
  cut.data = unhex("0011");
  metadata.entries.push_back(cut);
  const Bytes block = serialise(metadata);
  CHECK(same(serialise(parse_metadata(block)), block));
}

TEST_CASE("whatever parses serialises to the same bytes") {
  std::mt19937 random(1);
  const Bytes original = sample_block();
  std::size_t parsed = 0;
  for (int round = 0; round < 4000; ++round) {
    Bytes block = original;
    for (std::uint64_t i = random() % 4 + 1; i > 0; --i) {
      block[random() % 1200] = static_cast<std::byte>(random());
    }
    try {
      const Metadata metadata = parse_metadata(block);
      REQUIRE(same(serialise(metadata), block));
      ++parsed;
    } catch (const FormatError&) {
    }
  }
  CHECK(parsed > 1000);
}

TEST_CASE("a block that breaks the size rules is refused with the rule") {
  const auto why = [](std::size_t at, std::uint8_t value) {
    Bytes block = sample_block();
    block[at] = static_cast<std::byte>(value);
    try {
      parse_metadata(block);
    } catch (const FormatError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(why(0x00, 'x'), Catch::Contains("signature"));
  CHECK_THAT(why(0x0A, 1), Catch::Contains("version 2"));
  CHECK_THAT(why(0x09, 0xFF), Catch::Contains("signed part"));
  CHECK_THAT(why(0x40, 1), Catch::Contains("sizes of the dataset"));
  CHECK_THAT(why(0x48, 1), Catch::Contains("48 bytes"));
  const std::size_t signed_size = parse_metadata(sample_block()).signed_size();
  CHECK_THAT(why(signed_size, 0x11), Catch::Contains("validation"));
  CHECK_THROWS_AS(parse_metadata(Bytes(100)), FormatError);
}

TEST_CASE("any changed byte of the signed part is noticed by checksum and integrity hash") {
  const MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  const OpenedVolume opened = open_volume(made.partition, made.recovery.clone());
  REQUIRE(check_integrity(opened.metadata, opened.vmk) == Integrity::kGood);
  for (std::size_t at = 0x0C; at < opened.metadata.signed_size(); at += 7) {
    Bytes block = made.created.metadata;
    block[at] ^= std::byte{4};
    try {
      const Metadata metadata = parse_metadata(block);
      CHECK_FALSE(crc_matches(metadata, block));
      CHECK(check_integrity(metadata, opened.vmk) == Integrity::kWrong);
    } catch (const FormatError&) {
    }
  }
  Metadata unsealed = opened.metadata;
  unsealed.integrity.reset();
  CHECK(check_integrity(unsealed, opened.vmk) == Integrity::kAbsent);
}

TEST_CASE("deep nesting is kept as data instead of exhausting the stack") {
  Entry entry = opaque(0, 0x77, 4);
  for (int depth = 0; depth < 100; ++depth) {
    Entry outer;
    outer.type = ValueType::kUseKey;
    outer.fixed = Bytes(4);
    outer.children = {entry};
    entry = outer;
  }
  ByteWriter out;
  entry.serialise(out);
  std::vector<Entry> parsed;
  CHECK(parse_entries(out.view(), parsed) == out.size());
  ByteWriter again;
  parsed.front().serialise(again);
  CHECK(again.view() == out.view());
}

TEST_CASE("external key files: both forms round trip, broken ones are refused") {
  ExternalKey key;
  key.protector = Guid::random();
  key.changed = FileTime{130000000000000000};
  key.saved = FileTime{130000000000000001};
  key.key = SecretBytes::random(32);
  const SecretBytes windows10 = serialise_external_key(key);
  CHECK(windows10.size() == 156);
  CHECK(parse_external_key(windows10).key == key.key);
  CHECK_FALSE(parse_external_key(windows10).volume_id);
  key.volume_id = Guid::random();
  const SecretBytes windows11 = serialise_external_key(key);
  CHECK(windows11.size() == 180);
  CHECK(parse_external_key(windows11).volume_id == key.volume_id);
  CHECK(serialise_external_key(parse_external_key(windows11)) == windows11);

  for (const std::size_t at : {0, 4, 8, 12, 16, 48, 50, 52, 56, 112, 140}) {
    SecretBytes broken = windows10.clone();
    broken.span()[at] ^= std::byte{0x55};
    if (at == 140) broken.truncate(140);
    INFO(at);
    CHECK(error_code([&] { parse_external_key(broken); }) == "bad-external-key");
  }
  CHECK(error_code([] { parse_external_key(SecretBytes()); }) == "bad-external-key");
}

}  // namespace
}  // namespace driveprep::bitlocker

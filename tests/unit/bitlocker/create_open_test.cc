#include <algorithm>
#include <functional>

#include "bitlocker/external_key.h"
#include "bitlocker/protector.h"
#include "bitlocker/relocation.h"
#include "made_volume.h"

namespace driveprep::bitlocker {
namespace {

const Cipher kWritable[] = {Cipher::kXtsAes128, Cipher::kXtsAes256, Cipher::kAesCbc128,
                            Cipher::kAesCbc256};

Credential recovery_of(const MadeVolume& volume) { return volume.recovery.clone(); }
// The key that costs no stretching.
Credential file_of(const MadeVolume& volume) {
  return ExternalKeyCredential{volume.created.external_key->content.clone()};
}

TEST_CASE("a created volume opens with each of its keys, in all ciphers and sector sizes") {
  for (const Cipher cipher : kWritable) {
    for (const std::uint64_t sector : {512, 4096}) {
      INFO(to_string(cipher) << " " << sector);
      const MadeVolume made(cipher, SectorSize(sector));
      const OpenedVolume opened = open_volume(made.partition, recovery_of(made));
      CHECK(opened.cipher->cipher() == cipher);
      CHECK(opened.layout == made.layout);
      CHECK(opened.volume_id == made.created.volume_id);
      CHECK(opened.protector == made.created.recovery_protector);
      CHECK(opened.copy_used == 1);
      CHECK_FALSE(opened.has_clear_key);
      CHECK(opened.metadata.description() == "STAGING D: 21.11.2026");

      const OpenedVolume by_password =
          open_volume(made.partition, PasswordCredential{SecretBytes::copy_of(kTestPassword)});
      CHECK(by_password.protector == made.created.password_protector);
      CHECK(by_password.vmk == opened.vmk);
      const OpenedVolume by_file = open_volume(
          made.partition, ExternalKeyCredential{made.created.external_key->content.clone()});
      CHECK(by_file.protector == made.created.external_key_protector);
      CHECK(by_file.vmk == opened.vmk);

      const Entry* wrapped = opened.metadata.find(Role::kFvek);
      REQUIRE(wrapped);
      CHECK(unwrap_key(opened.vmk, *wrapped)->key == made.created.fvek);
    }
  }
}

TEST_CASE("created metadata has the shape of Windows' own") {
  const MadeVolume made(Cipher::kXtsAes256, SectorSize(512));
  const Metadata metadata = parse_metadata(made.created.metadata);
  CHECK(same(serialise(metadata), made.created.metadata));
  CHECK(metadata.current_state == 4);
  CHECK(metadata.next_state == 4);
  CHECK(metadata.encrypted_size == made.layout.volume_size);
  CHECK(metadata.converting_size == 0);
  CHECK(metadata.relocated_sectors == 16);
  CHECK(metadata.second_method == metadata.method);

  // Description, password, recovery password, external key, FVEK, relocation; sizes as documented.
  REQUIRE(metadata.entries.size() == 6);
  CHECK(metadata.entries[0].role == Role::kDescription);
  CHECK(metadata.entries[1].size() == 224);
  CHECK(metadata.entries[2].size() == 288);
  CHECK(metadata.entries[3].size() == 240);
  CHECK(metadata.entries[4].role == Role::kFvek);
  CHECK(metadata.entries[4].size() == 112);
  CHECK(metadata.entries[5].role == Role::kRelocation);
  CHECK(metadata.entries[5].size() == 100);
  const Relocation relocation = *parse_relocation(metadata.entries[5]);
  REQUIRE(relocation.extension);
  CHECK(relocation.extension->flags == 0x0A);
  CHECK(relocation.extension->reserved_offset == *made.layout.reserved);

  const MadeVolume large(Cipher::kXtsAes256, SectorSize(4096));
  const Metadata large_sectors = parse_metadata(large.created.metadata);
  CHECK(large_sectors.relocated_sectors == 2);
  CHECK(parse_relocation(large_sectors.entries[5])->extension->flags == 0x0B);
}

void collect_counters(const std::vector<Entry>& entries, std::vector<std::uint32_t>& counters) {
  for (const Entry& entry : entries) {
    if (const auto nonce = nonce_of(entry)) counters.push_back(nonce->counter);
    collect_counters(entry.children, counters);
  }
}

TEST_CASE("no nonce counter is used twice and the next one is above all") {
  const MadeVolume made(Cipher::kAesCbc128, SectorSize(512));
  const Metadata metadata = parse_metadata(made.created.metadata);
  std::vector<std::uint32_t> counters;
  collect_counters(metadata.entries, counters);
  counters.push_back(nonce_of(*metadata.integrity)->counter);
  CHECK(counters.back() + 1 == metadata.next_nonce);
  CHECK(std::ranges::max(counters) == counters.back());
  std::ranges::sort(counters);
  CHECK(std::ranges::adjacent_find(counters) == counters.end());
  CHECK(counters.front() == 2);
}

TEST_CASE("the escrow entries hold the recovery password and the keys of the protectors") {
  const MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  const OpenedVolume opened = open_volume(made.partition, file_of(made));
  const Entry& recovery = opened.metadata.entries[2];
  const Entry* stretched = recovery.child(ValueType::kStretchKey);
  REQUIRE(stretched);
  const auto key =
      unwrap_key(opened.vmk, *stretched->child(Role::kRecoveryKeyEscrow, ValueType::kWrapped));
  REQUIRE(key);
  CHECK(key->key == made.recovery.key());
  const auto kek =
      unwrap_key(opened.vmk, *stretched->child(Role::kRecoveryKekEscrow, ValueType::kWrapped));
  REQUIRE(kek);
  CHECK(*open_with_kek(recovery, kek->key) == opened.vmk);

  const Entry& password = opened.metadata.entries[1];
  const auto password_kek =
      unwrap_key(opened.vmk, *password.child(ValueType::kStretchKey)->child(ValueType::kWrapped));
  REQUIRE(password_kek);
  CHECK(*open_with_kek(password, password_kek->key) == opened.vmk);

  const Entry& external = opened.metadata.entries[3];
  const auto external_key =
      unwrap_key(opened.vmk, *external.child(ValueType::kUseKey)->child(ValueType::kWrapped));
  REQUIRE(external_key);
  CHECK(external_key->key == parse_external_key(made.created.external_key->content).key);
}

TEST_CASE("the external key file has the name and size that Windows gives it") {
  const MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  REQUIRE(made.created.external_key);
  CHECK(made.created.external_key->content.size() == 156);
  CHECK(made.created.external_key->name == made.created.external_key_protector->upper() + ".BEK");
}

TEST_CASE("wrong keys do not open a created volume") {
  const MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  const VolumeTemplate another(Cipher::kXtsAes128, SectorSize(512));
  const MadeVolume other(another);
  CHECK(error_code([&] { open_volume(made.partition, recovery_of(other)); }) ==
        "key-does-not-open");
  CHECK(error_code([&] {
          open_volume(made.partition, PasswordCredential{SecretBytes::copy_of("wrong password")});
        }) == "key-does-not-open");
  CHECK(error_code([&] {
          open_volume(made.partition,
                      ExternalKeyCredential{other.created.external_key->content.clone()});
        }) == "key-does-not-open");
  CHECK(error_code([&] { open_volume(made.partition, ClearKeyCredential{}); }) ==
        "no-such-protector");
  CHECK(error_code([&] {
          open_volume(made.partition, ExternalKeyCredential{SecretBytes::copy_of("not a key")});
        }) == "bad-external-key");
}

TEST_CASE("a volume is not recognised before its header is written, but opens by its places") {
  const MadeVolume made(Cipher::kXtsAes256, SectorSize(4096), Header::kMissing);
  CHECK(error_code([&] { open_volume(made.partition, file_of(made)); }) == "not-bitlocker");
  OpenOptions options;
  options.metadata_offsets = made.layout.metadata;
  const OpenedVolume opened = open_volume(made.partition, file_of(made), options);
  CHECK(opened.layout.sector_size.bytes() == 4096);
  CHECK(opened.layout.header_backup == made.layout.header_backup);
}

TEST_CASE("any other byte in the volume header is noticed") {
  const std::size_t sector = GENERATE(512, 4096);
  MadeVolume made(Cipher::kXtsAes128, SectorSize(static_cast<std::uint32_t>(sector)));
  const Bytes boot = ntfs_boot_sector(made.layout.sector_size, 4096);
  CHECK_FALSE(header_difference(made.partition, made.layout, boot));
  Bytes bytes(sector);
  made.partition.read(0, bytes);
  for (std::size_t at = 0; at < 512; ++at) {
    bytes[at] ^= std::byte{4};
    made.partition.write(0, bytes);
    if (header_difference(made.partition, made.layout, boot) != at) FAIL("byte " << at);
    bytes[at] ^= std::byte{4};
  }
  made.partition.write(0, bytes);
  VolumeLayout other = made.layout;
  other.metadata[1] += sector;
  CHECK(header_difference(made.partition, other, boot));
}

void damage(MadeVolume& made, std::size_t copy) {
  Bytes sector(made.layout.sector_size.bytes());
  made.partition.read(made.layout.metadata[copy], sector);
  sector[0x90] ^= std::byte{1};
  made.partition.write(made.layout.metadata[copy], sector);
}

TEST_CASE("a volume opens as long as one metadata copy is left, whichever it is") {
  for (unsigned destroyed = 1; destroyed < 7; ++destroyed) {
    INFO("destroyed copies: " << destroyed);
    MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
    unsigned first_left = 0;
    for (unsigned i = 3; i-- > 0;) {
      if ((destroyed >> i & 1) != 0) {
        damage(made, i);
      } else {
        first_left = i + 1;
      }
    }
    CHECK(open_volume(made.partition, file_of(made)).copy_used == first_left);
  }
}

TEST_CASE("with all three copies damaged the volume is given up with the cause of each") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  damage(made, 0);
  damage(made, 1);
  made.partition.write(made.layout.metadata[2], Bytes(4096));
  const auto open = [&] { open_volume(made.partition, file_of(made)); };
  CHECK(error_code(open) == "bitlocker-metadata-damaged");
  CHECK_THAT(error_text(open), Catch::Contains("copy 1: its checksum is wrong"));
  CHECK_THAT(error_text(open), Catch::Contains("copy 3: the signature is missing"));
}

// Changes a metadata copy as somebody without the key could: with a right checksum.
void forge(MadeVolume& made, const std::function<void(Metadata&)>& change) {
  Metadata metadata = parse_metadata(made.created.metadata);
  const auto integrity = metadata.integrity;
  change(metadata);
  const SecretBytes nobodys_key = SecretBytes::random(32);
  seal(metadata, nobodys_key, {FileTime{1}, 1});
  metadata.integrity = integrity;
  write_metadata(made.partition, made.layout, serialise(metadata));
}

TEST_CASE("metadata changed without the key is refused, unless the caller insists") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  forge(made, [](Metadata& m) { m.entries[0] = text_entry(Role::kDescription, u"forged"); });
  CHECK(error_code([&] { open_volume(made.partition, file_of(made)); }) == "bitlocker-integrity");
  OpenOptions options;
  options.accept_wrong_integrity = true;
  CHECK(open_volume(made.partition, file_of(made), options).metadata.description() == "forged");
}

TEST_CASE("a forged copy never goes before one that the key has signed") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  Metadata forged = open_volume(made.partition, file_of(made)).metadata;
  forged.next_nonce += 1000;
  forged.encrypted_size /= 2;
  const std::optional<Entry> integrity = forged.integrity;
  seal(forged, SecretBytes::random(32), {FileTime{1}, 1});
  forged.integrity = integrity;
  made.partition.write(made.layout.metadata[1], serialise(forged));
  for (const bool accept : {false, true}) {
    OpenOptions options;
    options.accept_wrong_integrity = accept;
    const OpenedVolume opened = open_volume(made.partition, file_of(made), options);
    CHECK(opened.integrity == Integrity::kGood);
    CHECK(opened.copy_used == 1);
    CHECK(opened.layout == made.layout);
  }
}

TEST_CASE("the header says whether encrypting is finished, a flag only where the header is lost") {
  const auto with_flag = [](Metadata& m) {
    for (Entry& entry : m.entries) {
      if (entry.role == Role::kRelocation) entry.data[8] |= std::byte{0x40};
    }
  };
  MadeVolume whole(Cipher::kXtsAes128, SectorSize(512));
  forge(whole, with_flag);
  OpenOptions options;
  options.accept_wrong_integrity = true;
  CHECK(open_volume(whole.partition, file_of(whole), options).volume_id == whole.created.volume_id);
  MadeVolume lost(Cipher::kXtsAes128, SectorSize(512), Header::kMissing);
  forge(lost, with_flag);
  options.metadata_offsets = lost.layout.metadata;
  CHECK(error_code([&] { open_volume(lost.partition, file_of(lost), options); }) ==
        "bitlocker-converting");
}

TEST_CASE("a protector that is not understood does not keep another one from opening") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  forge(made, [](Metadata& m) {
    Entry strange = m.entries[2];  // the recovery password's
    strange.children[0].fixed[2] = std::byte{0x40};
    m.entries.insert(m.entries.begin() + 1, std::move(strange));
  });
  OpenOptions options;
  options.accept_wrong_integrity = true;
  CHECK(open_volume(made.partition, recovery_of(made), options).volume_id ==
        made.created.volume_id);
}

TEST_CASE("a volume that is only prepared is not taken for one that is being encrypted") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  forge(made, [](Metadata& m) { m.current_state = m.next_state = 1; });
  Bytes header(512);
  made.partition.read(0, header);
  const Guid converting = *Guid::parse("92a84d3b-dd80-4d0e-9e4e-b1e3284eaed8");
  std::ranges::copy(converting.on_disk(), header.begin() + 0xA0);
  made.partition.write(0, header);
  CHECK(error_code([&] { open_volume(made.partition, recovery_of(made)); }) ==
        "bitlocker-decrypted");
}

TEST_CASE("states, ciphers and derivations that cannot be opened are named") {
  const auto forged_code = [](const std::function<void(Metadata&)>& change) {
    MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
    forge(made, change);
    return error_code([&] { open_volume(made.partition, recovery_of(made)); });
  };
  CHECK(forged_code([](Metadata& m) { m.current_state = m.next_state = 1; }) ==
        "bitlocker-decrypted");
  CHECK(forged_code([](Metadata& m) { m.current_state = 2; }) == "bitlocker-converting");
  CHECK(forged_code([](Metadata& m) { m.next_state = 1; }) == "bitlocker-converting");
  CHECK(forged_code([](Metadata& m) { m.method = 0x8006; }) == "bitlocker-cipher-unknown");
  CHECK(forged_code([](Metadata& m) { m.entries[2].children[0].fixed[2] = std::byte{0x40}; }) ==
        "bitlocker-stretching-unknown");
  CHECK(forged_code([](Metadata& m) {
          m.offsets[0] += 4096;
          m.offsets[1] += 4096;
          m.offsets[2] += 4096;
        }) == "bitlocker-metadata-damaged");
  CHECK(forged_code([](Metadata& m) { m.relocation_offset += 512; }) ==
        "bitlocker-metadata-damaged");
  CHECK(forged_code([](Metadata& m) { m.relocated_sectors = 0; }) == "bitlocker-metadata-damaged");
  CHECK(forged_code([](Metadata& m) { m.entries.pop_back(); }) == "bitlocker-metadata-damaged");
}

TEST_CASE("a suspended volume opens with its clear key and says so") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  const OpenedVolume opened = open_volume(made.partition, file_of(made));
  const SecretBytes clear = SecretBytes::random(32);
  Metadata metadata = opened.metadata;
  Entry protector = metadata.entries[3];  // takes the place of the external key
  protector.fixed[26] = protector.fixed[27] = std::byte{0};
  Entry key;
  key.type = ValueType::kKey;
  key.fixed = ByteWriter().u16(0x2000).u16(0).take();
  key.data.assign(clear.span().begin(), clear.span().end());
  NonceSource nonces(FileTime::now(), metadata.next_nonce);
  protector.children = {key, wrap_key(clear, nonces.take(), Role::kProperty, 0x2003, opened.vmk)};
  metadata.entries[3] = protector;
  const Nonce integrity = nonces.take();
  metadata.next_nonce = nonces.next();
  seal(metadata, opened.vmk, integrity);
  write_metadata(made.partition, made.layout, serialise(metadata));

  const OpenedVolume again = open_volume(made.partition, ClearKeyCredential{});
  CHECK(again.has_clear_key);
  CHECK(again.vmk == opened.vmk);
  CHECK(open_volume(made.partition, recovery_of(made)).has_clear_key);
}

TEST_CASE("an interrupted change of the copies leaves a volume that opens with the newer key") {
  MadeVolume made(Cipher::kXtsAes128, SectorSize(512));
  const OpenedVolume opened = open_volume(made.partition, recovery_of(made));
  Metadata metadata = opened.metadata;
  NonceSource nonces(FileTime::now(), metadata.next_nonce);
  const RecoveryPassword fresh = RecoveryPassword::random();
  metadata.entries[2] =
      make_recovery_protector(Guid::random(), FileTime::now(), fresh, opened.vmk, nonces);
  const Nonce integrity = nonces.take();
  metadata.next_nonce = nonces.next();
  seal(metadata, opened.vmk, integrity);
  made.partition.write(made.layout.metadata[2], serialise(metadata));

  CHECK(open_volume(made.partition, fresh.clone()).copy_used == 3);
  CHECK(open_volume(made.partition, recovery_of(made)).copy_used == 1);
}

TEST_CASE("bad passwords and descriptions are refused before anything is made") {
  const RecoveryPassword recovery = RecoveryPassword::random();
  const auto code = [&](std::optional<std::string> password, const std::string& description) {
    VolumeRequest request{.recovery_password = &recovery, .description = description};
    if (password) request.password = SecretBytes::copy_of(*password);
    return error_code([&] { NewVolume{request}; });
  };
  CHECK(code("seven77", "d") == "bitlocker-password-length");
  CHECK(code(std::string(257, 'x'), "d") == "bitlocker-password-length");
  CHECK(code("12345678\xFF", "d") == "bitlocker-password-text");
  CHECK(code(std::nullopt, "\xFF") == "bitlocker-description");
  CHECK(code(std::nullopt, std::string(256, 'x')) == "bitlocker-description");
  CHECK(code("12345678", std::string(255, 'x')).empty());
}

TEST_CASE("the volume header is the last sector that is written") {
  MadeVolume made(Cipher::kXtsAes256, SectorSize(512), Header::kMissing);
  std::vector<std::uint64_t> offsets;
  made.partition.before_write = [&](std::uint64_t, std::uint64_t offset, ByteView) {
    offsets.push_back(offset);
  };
  write_boot_region(made.partition, made.layout, ntfs_boot_sector(SectorSize(512), 4096));
  REQUIRE(offsets.size() >= 2);
  CHECK(offsets.back() == 0);
  CHECK(std::count(offsets.begin(), offsets.end(), 0u) == 1);

  Bytes region(kBootRegionSize);
  made.partition.read(0, region);
  // Filler, not zeros and not the plain NTFS sectors.
  CHECK(std::count(region.begin() + 512, region.end(), std::byte{0}) < 200);
}

}  // namespace
}  // namespace driveprep::bitlocker

#include "tests/support/windows_volumes.h"
#include "bitlocker/open.h"

#include <functional>

#include "base/digest.h"
#include "bitlocker/encrypted_device.h"
#include "bitlocker/external_key.h"
#include "bitlocker/key_derivation.h"
#include "bitlocker/other_entries.h"
#include "bitlocker/protector.h"
#include "bitlocker/volume_header.h"
#include "drive/block/file_device.h"
#include "drive/block/memory_device.h"
#include "test_tools.h"

namespace driveprep::bitlocker {
namespace {

std::unique_ptr<block::FileDevice> open_image(const test::WindowsVolume& volume) {
  return block::open_image_read_only(volume.image.string(), SectorSize(512));
}

std::string decrypted_sha256(const block::ReadableDevice& partition, const OpenedVolume& opened) {
  const DecryptedDevice plain(partition, opened.layout, opened.cipher);
  Digest digest(Digest::Algorithm::kSha256);
  Bytes buffer(kMiB);
  for (std::uint64_t at = 0; at < plain.size(); at += buffer.size()) {
    const MutableByteView part(buffer.data(),
                               std::min<std::uint64_t>(buffer.size(), plain.size() - at));
    plain.read(at, part);
    digest.update(part);
  }
  return hex_lower(digest.finish());
}

struct RawCopy {
  Bytes block;
  std::uint64_t offset;
};

std::vector<RawCopy> raw_copies(const block::ReadableDevice& partition) {
  Bytes sector(512);
  partition.read(0, sector);
  std::vector<RawCopy> copies;
  for (const std::uint64_t offset : parse_volume_header(sector).metadata) {
    copies.push_back({Bytes(kMetadataSize), offset});
    partition.read(offset, copies.back().block);
  }
  return copies;
}

void for_each_wrapped(std::vector<Entry>& entries, const std::function<void(Entry&)>& visit) {
  for (Entry& entry : entries) {
    if (entry.type == ValueType::kWrapped) visit(entry);
    for_each_wrapped(entry.children, visit);
  }
}

struct RecoveredKeys {
  SecretBytes vmk;
  SecretBytes kek;  // not escrowed by Windows 7
};

RecoveredKeys keys_by_recovery_password(const Metadata& metadata, const std::string& text) {
  const SecretBytes hash = recovery_password_hash(RecoveryPassword::parse(text));
  for (const Entry& entry : metadata.entries) {
    const auto facts = protector_facts(entry);
    if (!facts || facts->kind != ProtectorClass::kRecoveryPassword) continue;
    const ByteView fixed(entry.child(ValueType::kStretchKey)->fixed);
    SecretBytes kek = stretch(hash, fixed.last(kSaltSize));
    if (auto vmk = open_with_kek(entry, kek)) return {std::move(*vmk), std::move(kek)};
  }
  FAIL("the recovery password opens nothing");
  return {};
}

TEST_CASE("every metadata copy of every Windows volume survives parse and serialise") {
  for (const test::WindowsVolume& volume : test::windows_volumes()) {
    INFO(volume.name);
    const auto partition = open_image(volume);
    const std::vector<RawCopy> copies = raw_copies(*partition);
    REQUIRE(copies.size() == 3);
    for (const RawCopy& copy : copies) {
      const Metadata metadata = parse_metadata(copy.block);
      CHECK(same(serialise(metadata), copy.block));
      CHECK(metadata.volume_id.lower() == volume.fact("GUID"));
      CHECK(metadata.integrity.has_value());
      CHECK_FALSE(metadata.description().empty());
      CHECK(other_entries(metadata).empty());
    }
  }
}

TEST_CASE("with the volume master key the whole metadata of a Windows volume is regenerated") {
  for (const test::WindowsVolume& volume : test::windows_volumes()) {
    INFO(volume.name);
    const auto partition = open_image(volume);
    std::optional<RecoveredKeys> found;
    std::size_t regenerated = 0;
    for (const RawCopy& copy : raw_copies(*partition)) {
      const Metadata original = parse_metadata(copy.block);
      if (!crc_matches(original, copy.block)) continue;  // damaged on purpose
      if (!found) found = keys_by_recovery_password(original, volume.fact("RP"));
      const SecretBytes& vmk = found->vmk;
      CHECK(check_integrity(original, vmk) == Integrity::kGood);

      Metadata again = original;
      std::vector<SecretBytes> keys;
      keys.push_back(vmk.clone());
      keys.push_back(found->kek.clone());
      for_each_wrapped(again.entries, [&](Entry& entry) {
        if (auto key = unwrap_key(vmk, entry); key && key->key.size() == 32) {
          keys.push_back(std::move(key->key));
        }
      });
      std::size_t wrapped = 0;
      for_each_wrapped(again.entries, [&](Entry& entry) {
        ++wrapped;
        bool opened = false;
        for (const SecretBytes& key : keys) {
          const auto plaintext = unwrap(key, entry);
          if (!plaintext) continue;
          opened = true;
          entry = wrap(key, *nonce_of(entry), entry.role, *plaintext);
        }
        CHECK(opened);
      });
      CHECK(wrapped >= 5);
      again.integrity.reset();
      again.crc = 0;
      seal(again, vmk, *nonce_of(*original.integrity));
      CHECK(same(serialise(again), copy.block));
      ++regenerated;
    }
    CHECK(regenerated == (volume.name.ends_with("-crc") ? 1 : 3));
  }
}

// Cipher, sector size and places that an opened volume tells.
void check_facts(const test::WindowsVolume& volume, const OpenedVolume& opened) {
  CHECK(opened.layout.sector_size.bytes() == (volume.name.ends_with("-4k") ? 4096 : 512));
  const std::string cipher = volume.fact("CIPHER");
  CHECK(is_xts(opened.cipher->cipher()) == (cipher == "aes-xts-plain64"));
  CHECK(has_elephant_diffuser(opened.cipher->cipher()) == (cipher == "aes-cbc-elephant"));
  if (volume.name.find("togo") == std::string::npos && cipher != "aes-cbc-elephant") {
    CHECK(opened.layout.cluster_size == 4096);
    CHECK(opened.layout.header_backup_size == kBootRegionSize);
    CHECK(opened.layout.reserved == opened.layout.header_backup + kBootRegionSize);
  }
}

TEST_CASE("every credential opens its Windows volume and the plaintext has the published hash") {
  for (const test::WindowsVolume& volume : test::windows_volumes()) {
    if (volume.fact("SHA256SUM").empty()) continue;
    INFO(volume.name);
    const auto partition = open_image(volume);
    const OpenedVolume by_recovery =
        open_volume(*partition, RecoveryPassword::parse(volume.fact("RP")));
    CHECK(by_recovery.volume_id.lower() == volume.fact("GUID"));
    CHECK(by_recovery.protector.lower() == volume.fact("RP_VMK_GUID"));
    CHECK(by_recovery.layout.volume_size == partition->size());
    CHECK(by_recovery.copy_used == (volume.name.ends_with("-crc") ? 3 : 1));
    CHECK_FALSE(by_recovery.has_clear_key);
    check_facts(volume, by_recovery);
    CHECK(decrypted_sha256(*partition, by_recovery) == volume.fact("SHA256SUM"));

    if (const std::string password = volume.fact("PW"); !password.empty()) {
      const OpenedVolume opened =
          open_volume(*partition, PasswordCredential{SecretBytes::copy_of(password)});
      CHECK(opened.protector.lower() == volume.fact("PW_VMK_GUID"));
      CHECK(opened.vmk == by_recovery.vmk);
    }
    if (const std::string id = volume.fact("SK_VMK_GUID"); !id.empty()) {
      const OpenedVolume opened =
          open_volume(*partition, ExternalKeyCredential{test::windows_external_key()});
      CHECK(opened.protector.lower() == id);
      CHECK(opened.vmk == by_recovery.vmk);
    }
  }
}

TEST_CASE("a volume that Windows has not finished encrypting is refused and named") {
  for (const test::WindowsVolume& volume : test::windows_volumes()) {
    if (!volume.name.ends_with("-eow")) continue;
    const auto partition = open_image(volume);
    CHECK(error_code([&] {
            open_volume(*partition, RecoveryPassword::parse(volume.fact("RP")));
          }) == "bitlocker-converting");
  }
}

TEST_CASE("wrong keys open no Windows volume") {
  for (const test::WindowsVolume& volume : test::windows_volumes()) {
    if (volume.name.ends_with("-eow")) continue;
    INFO(volume.name);
    const auto partition = open_image(volume);
    CHECK(error_code([&] { open_volume(*partition, RecoveryPassword::random()); }) ==
          "key-does-not-open");
    // The one with the startup key has a password that nobody wrote down.
    CHECK(error_code([&] {
            open_volume(*partition, PasswordCredential{SecretBytes::copy_of("Anaconda")});
          }) == "key-does-not-open");
    CHECK(error_code([&] { open_volume(*partition, ClearKeyCredential{}); }) ==
          "no-such-protector");
    if (!volume.fact("SK_VMK_GUID").empty()) {
      ExternalKey other = parse_external_key(test::windows_external_key());
      other.key = SecretBytes::random(32);
      CHECK(error_code([&] {
              open_volume(*partition, ExternalKeyCredential{serialise_external_key(other)});
            }) == "key-does-not-open");
    } else {
      CHECK(error_code([&] {
              open_volume(*partition, ExternalKeyCredential{test::windows_external_key()});
            }) == "no-such-protector");
    }
  }
}

TEST_CASE(
    "metadata of Windows that was changed without its key is refused unless that is asked for") {
  for (const test::WindowsVolume& volume : test::windows_volumes()) {
    if (!volume.name.ends_with("xts-256")) continue;
    const auto image = open_image(volume);
    block::MemoryDevice partition(image->size());
    const std::vector<RawCopy> copies = raw_copies(*image);
    Bytes sector(512);
    image->read(0, sector);
    partition.write(0, sector);
    for (const RawCopy& copy : copies) {
      Metadata metadata = parse_metadata(copy.block);
      ++metadata.created.ticks;
      const SecretBytes wrong = SecretBytes::random(kVmkSize);
      const std::optional<Entry> integrity = metadata.integrity;
      seal(metadata, wrong, *nonce_of(*integrity));  // for the CRC
      metadata.integrity = integrity;
      partition.write(copy.offset, serialise(metadata));
    }
    const Credential key = RecoveryPassword::parse(volume.fact("RP"));
    CHECK(error_code([&] { open_volume(partition, key); }) == "bitlocker-integrity");
    OpenOptions how;
    how.accept_wrong_integrity = true;
    CHECK(open_volume(partition, key, how).integrity == Integrity::kWrong);
  }
}

TEST_CASE("the external key file of Windows survives parse and serialise") {
  if (test::windows_volumes().empty()) return;
  const SecretBytes file = test::windows_external_key();
  const ExternalKey key = parse_external_key(file);
  CHECK(serialise_external_key(key) == file);
  CHECK(external_key_file_name(key.protector) == "4381F759-C4F8-4DE0-BB61-FC33A831BDA5.BEK");
}

}  // namespace
}  // namespace driveprep::bitlocker

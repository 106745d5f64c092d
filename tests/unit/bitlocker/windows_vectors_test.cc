// Everything that Windows wrote for one volume, and one sector of another: metadata, key file and
// diffuser checked without a file. The volumes are the 128-bit XTS one, the one with a startup key
// and the one of Windows 7 in the public cryptsetup test set.
#include "base/digest.h"
#include "base/utf16.h"
#include "bitlocker/ccm.h"
#include "bitlocker/external_key.h"
#include "bitlocker/key_derivation.h"
#include "bitlocker/layout.h"
#include "bitlocker/metadata.h"
#include "bitlocker/protector.h"
#include "bitlocker/relocation.h"
#include "bitlocker/sector_cipher.h"
#include "test_tools.h"

namespace driveprep::bitlocker {
namespace {

// The signed part of its metadata.
const char* const kSigned =
    "2d4656452d46532d370002000400040000004006000000000000000010000000005019020000000000d0c10200"
    "00000000a073030000000000501a0200000000240300000100000030000000240300000952598fb9f5a04985d4"
    "cb8f80258c270a00000004800480708a425d3632d50140000700020001004400450053004b0054004f0050002d"
    "004e0050004d003700520043004100200048003a00200037002f0034002f0032003000310039000000e0000200"
    "080001005c19553e11889b4d97b42b9e5f8f5384504349703632d501000000206c00000003000100011000008d"
    "7637cc5d885d5ff4f748dbc8440d2e5000000005000100c049ba6f3632d501020000009c23a3ba275c2eec2bb1"
    "2916a98e118a907f17feb6b94301c000f847d4b018f2529da00a4057e50428387d37a4a39a18a60295a2f4ed73"
    "1945a6cfb15000000005000100c049ba6f3632d5010300000084ba5e36ecbfc08e95dd7aa2d1abdab1749966a4"
    "100e2779e82354bd5e33a0a991025a189e2768aa5c47e818fb158d9179bfa47fa1b4a01fc379caa52001020008"
    "000100ea1d316487452940924aba299647998eb0e3f0723632d50100000008ac00000003000100001000002ba0"
    "80989af9b50c203aaebd0b40d4984000120005000100c049ba6f3632d50104000000f51a8cf0196e74c8b85654"
    "2bdcf875f904b54f99ed8a4e6ce6cffab8c963382a9aa02e02196784b736c1eb525000130005000100c049ba6f"
    "3632d5010500000026b1df5d7ebb2131f757c9b49fa129339515934fd41d57814a6be4c5310792acf931b0a4e1"
    "5d303c70ef8ffb1d70096b2c7f5af320838e55196eda3d5000000005000100c049ba6f3632d501060000000cf8"
    "5869dd1a2a024c48d0f6aa00b997005e2014c039b7de88e6906efdbe83055dcb5c097dbe3fe86860ef7bae367a"
    "13178587cd8cd11af5713d0bb75000030005000100c049ba6f3632d50108000000c83ef7a71e23b0b146ffd206"
    "91856484bf886e2f056985d40b004f3b46d5929a1f1a09b20d2778fa3ca2d803f29ea3395c6b4723dd601b3499"
    "7ae75e64000f000f00010000501a0200000000002000000000000005004c00000000000a000000000000000000"
    "0000000000000000000000020000000200000a00000000000000ab3f000002000000000000001001010200701a"
    "02000000000000010000000000000000000000000000000000";
// What stands behind it: size, version, CRC, integrity entry.
const char* const kValidation =
    "90fc020031bdfd425000000005000100592e837d3632d581090000008c4122d6fa4868e534b9166d9c8b0a3e4b"
    "ad541f1957d024eeac170384db2725a00393b357f7ed82598d5c3eaa9434edd8854082ea8f70be89f5b93a";
const char* const kVmk = "e5862465920b1190605ae29547623fb9c0dbafab073c85634bfb0f8a4b8cf46b";
const char* const kPasswordKek = "37554410c6e0df5b4fe096259f4a21b847338d3e8d8d8d8c30012d1447cca957";
const char* const kRecoveryKek = "1a39f926dab83e947fa85125b91e556e9ecc2bc5968924e03de234878d1fd4bd";

// 4381F759-C4F8-4DE0-BB61-FC33A831BDA5.BEK, as Windows 10 saved it.
const char* const kKeyFile =
    "9c00000001000000300000009c00000059f78143f8c4e04dbb61fc33a831bda50100000000000000f002bafe31"
    "8bd6016c0006000900010059f78143f8c4e04dbb61fc33a831bda520525f30318bd60120000000020001004500"
    "78007400650072006e0061006c004b006500790000002c0000000100010002200000e0bb38b9bc55e69e528372"
    "81655a762be4e460f95867c65186931d6998021866";

// The second half of an MFT record at 0x2200, of which next to nothing is used.
const char* const kDiffused =
    "2abf9dd0057ea2956413962c0d8714b343f662c9631580b25161a9db4bb29a28479e50022c171ed859b3834d34"
    "4dbf1215f3de967dc4a328678deae5e29728365bf93e6b4c8f06e84776c2d1b28dcfc4b47161247ecb36dd6836"
    "f5c649491966fc3a7ed662c1b09f17ff1ad473ff2e3cb4cadd0f950b67ff454f9b085c0af7fcf4920f06cc552b"
    "c6620129412162d79f6c9144caaeee0b0372bc9e12683679cd403781834d411c750b87b2e50126dce3df197ef0"
    "422e757aeaffb52cb946f049847aff29771159760120af8ef34344e730a7ceea950882f906e8471de0b6de5361"
    "ceac435e9d57ab279a8be6f221f843d85b8d6d807670911895157ac4139ea9a96130f67a130f7386af8aedae67"
    "6840cbf80d5ee022a4ea0234ddd2f9f9f3a2f894e415ccaed549592fd262d877032ac5f649f3bd0e0cb29e4659"
    "b9316e31a13d355579c6b2468bd45ddd401eb793e415e53fd4d9d970426ffa839445823bd1d51b7dbcb7088110"
    "51db2affb588503e0482aed0a9d2827556b9a45944f877e139538a65d46a0355f2b99e10aea424dfbf8d81b609"
    "3aff5182460796fc47f6200a97a4b7b34e8ae4daf9430b39a6f73d3c2a3fad8db38ec54e1560bd0c8bb63ae738"
    "e6bfd5d534d2adcb618759249bca02f8154ddbda90259c20507cfc59e64bdc85628c363f005d6cf910d651a20a"
    "7ee22185bd78f8f7500dc73de6340a420c";

Bytes whole_copy() {
  return ByteWriter().bytes(unhex(kSigned)).bytes(unhex(kValidation)).pad_to(kMetadataSize).take();
}

const Entry& protector_of(const Metadata& metadata, ProtectorClass kind) {
  const auto found = std::ranges::find_if(metadata.entries, [&](const Entry& entry) {
    const auto facts = protector_facts(entry);
    return facts && facts->kind == kind;
  });
  REQUIRE(found != metadata.entries.end());
  return *found;
}

// Wraps what `key` opens once more, with the nonce it had.
Entry wrapped_again(const SecretBytes& key, const Entry& entry) {
  const std::optional<SecretBytes> plaintext = unwrap(key, entry);
  REQUIRE(plaintext);
  return wrap(key, *nonce_of(entry), entry.role, *plaintext);
}

TEST_CASE("the first hash of a password is that of its UTF-16 text") {
  const Sha256 once = sha256(utf16le(u"anaconda"));
  CHECK(hex_lower(once) == "43648e8a373755eb70ec22b8320b775f51869e4fa85431f01de81169ab89563c");
  CHECK(hex_lower(sha256(once)) == hex(password_hash(SecretBytes::copy_of("anaconda"))));
}

TEST_CASE("metadata of Windows is read as what it is") {
  const Metadata metadata = parse_metadata(whole_copy());
  CHECK(same(serialise(metadata), whole_copy()));
  CHECK(crc_matches(metadata, whole_copy()));
  CHECK(metadata.crc == 0x42fdbd31);
  CHECK(hex_lower(sha256(serialise_signed(metadata))) ==
        "650451a7c3b43919f3fdae49ae17c72a51a1f6bd77b64cb94152a4f722135d16");
  CHECK(metadata.volume_id.lower() == "8f595209-f5b9-49a0-85d4-cb8f80258c27");
  CHECK(metadata.encrypted_size == 100 * kMiB);
  CHECK(metadata.offsets[0] == 0x2195000);
  CHECK(metadata.method == 0x8004);
  CHECK(metadata.is_finished());
  const std::vector<ProtectorFacts> found = protectors(metadata.entries);
  REQUIRE(found.size() == 2);
  CHECK(found[0].kind == ProtectorClass::kPassword);
  CHECK(found[0].id.lower() == "3e55195c-8811-4d9b-97b4-2b9e5f8f5384");
  CHECK(found[1].kind == ProtectorClass::kRecoveryPassword);
  CHECK(found[1].id.lower() == "64311dea-4587-4029-924a-ba299647998e");
  const auto relocation = parse_relocation(*metadata.find(Role::kRelocation));
  REQUIRE(relocation);
  CHECK(relocation->offset == 0x21A5000);
  CHECK(relocation->size == kBootRegionSize);
  REQUIRE(relocation->extension);
  CHECK(relocation->extension->flags == 0x0A);
  CHECK(relocation->extension->reserved_offset == 0x21A7000);
  CHECK_FALSE(relocation->extension->says_converting());
}

TEST_CASE("the integrity entry of Windows holds the hash of the metadata and is made alike") {
  const Metadata metadata = parse_metadata(whole_copy());
  const SecretBytes vmk = secret_hex(kVmk);
  REQUIRE(metadata.integrity);
  CHECK(hex_lower(metadata.integrity->fixed) ==
        "592e837d3632d581090000008c4122d6fa4868e534b9166d9c8b0a3e");
  const auto hash = unwrap_key(vmk, *metadata.integrity);
  REQUIRE(hash);
  CHECK(hash->key_type == static_cast<std::uint16_t>(KeyType::kHash));
  CHECK(hex(hash->key) == hex_lower(sha256(unhex(kSigned))));
  CHECK(check_integrity(metadata, vmk) == Integrity::kGood);
  CHECK(check_integrity(metadata, secret_hex(kPasswordKek)) == Integrity::kWrong);

  Metadata again = metadata;
  again.integrity.reset();
  again.crc = 0;
  seal(again, vmk, *nonce_of(*metadata.integrity));
  CHECK(same(serialise(again), whole_copy()));
}

TEST_CASE("all wrapped keys of a Windows volume open under their key and wrap to the same bytes") {
  const Metadata metadata = parse_metadata(whole_copy());
  const SecretBytes vmk = secret_hex(kVmk);
  const SecretBytes password_kek = secret_hex(kPasswordKek);
  const SecretBytes recovery_kek = secret_hex(kRecoveryKek);
  const Entry& password = protector_of(metadata, ProtectorClass::kPassword);
  const Entry& recovery = protector_of(metadata, ProtectorClass::kRecoveryPassword);
  const Entry* password_stretch = password.child(ValueType::kStretchKey);
  const Entry* recovery_stretch = recovery.child(ValueType::kStretchKey);
  REQUIRE((password_stretch != nullptr && recovery_stretch != nullptr));

  struct Wrapped {
    const Entry* entry;
    const SecretBytes& under;
    KeyType type;
    std::string holds;
  };
  const Wrapped all[] = {
      {password.child(ValueType::kWrapped), password_kek, KeyType::kVmk, kVmk},
      {recovery.child(ValueType::kWrapped), recovery_kek, KeyType::kVmk, kVmk},
      {password_stretch->child(ValueType::kWrapped), vmk, KeyType::kPasswordKek, kPasswordKek},
      {recovery_stretch->child(Role::kRecoveryKeyEscrow, ValueType::kWrapped), vmk,
       KeyType::kRecoveryKey, "be531d7f315abf04a0553557c67932d2"},
      {recovery_stretch->child(Role::kRecoveryKekEscrow, ValueType::kWrapped), vmk,
       KeyType::kRecoveryKek, kRecoveryKek},
      {metadata.find(Role::kFvek), vmk, static_cast<KeyType>(0x8004),
       "cc493ad40376cf719d3725073d5c1a6ca5759fc4ad179c95572f16c01a260d66"},
  };
  for (const Wrapped& wrapped : all) {
    INFO(wrapped.holds);
    REQUIRE(wrapped.entry != nullptr);
    const auto key = unwrap_key(wrapped.under, *wrapped.entry);
    REQUIRE(key);
    CHECK(key->key_type == static_cast<std::uint16_t>(wrapped.type));
    CHECK(hex(key->key) == wrapped.holds);
    CHECK(wrapped_again(wrapped.under, *wrapped.entry) == *wrapped.entry);
  }
}

TEST_CASE("the protectors of a Windows volume are made alike from the same keys and counters") {
  const Metadata metadata = parse_metadata(whole_copy());
  const SecretBytes vmk = secret_hex(kVmk);
  const Entry& password = protector_of(metadata, ProtectorClass::kPassword);
  const Entry& recovery = protector_of(metadata, ProtectorClass::kRecoveryPassword);
  CHECK(open_with_hash(password, password_hash(SecretBytes::copy_of("anaconda"))) == vmk);
  const RecoveryPassword text =
      RecoveryPassword::parse("235818-357951-253979-013365-241120-245575-342914-591910");
  CHECK(open_with_hash(recovery, recovery_password_hash(text)) == vmk);
  CHECK_FALSE(open_with_hash(recovery, password_hash(SecretBytes::copy_of("anaconda"))));

  // The salt is drawn anew, so sizes and counters are what can be compared.
  NonceSource nonces(nonce_of(*password.child(ValueType::kWrapped))->time, 2);
  const ProtectorFacts facts = *protector_facts(password);
  const Entry made = make_password_protector(facts.id, facts.changed,
                                             SecretBytes::copy_of("anaconda"), vmk, nonces);
  CHECK(made.size() == password.size());
  CHECK(made.fixed == password.fixed);
  CHECK(nonce_of(*made.child(ValueType::kWrapped)) ==
        nonce_of(*password.child(ValueType::kWrapped)));
  const ProtectorFacts second = *protector_facts(recovery);
  const Entry made_second = make_recovery_protector(second.id, second.changed, text, vmk, nonces);
  CHECK(made_second.size() == 288);
  CHECK(made_second.fixed == recovery.fixed);
  CHECK(nonce_of(*made_second.child(ValueType::kWrapped)) ==
        nonce_of(*recovery.child(ValueType::kWrapped)));
}

TEST_CASE("a key file of Windows 10 is read, and written byte for byte") {
  const SecretBytes file = secret_hex(kKeyFile);
  const ExternalKey key = parse_external_key(file);
  CHECK(external_key_file_name(key.protector) == "4381F759-C4F8-4DE0-BB61-FC33A831BDA5.BEK");
  CHECK(hex(key.key) == "e0bb38b9bc55e69e52837281655a762be4e460f95867c65186931d6998021866");
  CHECK(key.changed.ticks == 132446282435220000);
  CHECK(key.saved.ticks == 132446285897270000);
  CHECK_FALSE(key.volume_id);
  CHECK(serialise_external_key(key) == file);
}

TEST_CASE("a sector of Windows 7 comes out of CBC and diffuser") {
  // Of the 64 bytes in the volume only these are used: AES key, and that of the sector key.
  const SecretBytes key = secret_hex(
      "9d2733e172dc85e13e3de5aaa0e0501b00000000000000000000000000000000"
      "fd22a3f27966c51c94c8e3adce517b6e00000000000000000000000000000000");
  const SectorCipher cipher(Cipher::kAesCbc128Elephant, key.clone(), SectorSize(512));
  Bytes plain(512);
  cipher.decrypt(0x2200, unhex(kDiffused), plain);
  Bytes expected(512);
  std::fill_n(expected.begin(), 4, std::byte{0xFF});
  expected[510] = std::byte{0x02};
  CHECK(hex_lower(plain) == hex_lower(expected));
  // In another place the same bytes are something else.
  Bytes other(512);
  cipher.decrypt(0x2400, unhex(kDiffused), other);
  CHECK(std::ranges::mismatch(other, plain).in1 - other.begin() < 4);
  CHECK(std::ranges::count(other, std::byte{0}) < 32);
}

}  // namespace
}  // namespace driveprep::bitlocker

#include "bitlocker/open.h"

#include <algorithm>
#include <string>
#include <utility>

#include "bitlocker/ccm.h"
#include "bitlocker/external_key.h"
#include "bitlocker/key_derivation.h"
#include "bitlocker/protector.h"
#include "bitlocker/relocation.h"
#include "bitlocker/volume_header.h"

namespace driveprep::bitlocker {
namespace {

constexpr std::size_t kHeaderSize = 512;
constexpr std::uint16_t kStateDecrypted = 1;
constexpr std::uint16_t kStateEncrypted = 4;

struct Copy {
  unsigned number;  // 1..3
  Metadata metadata;
};

[[noreturn]] void refuse(const std::string& code, const std::string& message,
                         const std::string& remedy) {
  throw Error(ErrorKind::kRefused, code, message, remedy);
}

VolumeHeader read_header(const block::ReadableDevice& partition) {
  Bytes sector(kHeaderSize);
  if (partition.size() >= sector.size()) partition.read(0, sector);
  VolumeHeader header = parse_volume_header(sector);
  switch (header.kind) {
    case VolumeKind::kNtfs:
    case VolumeKind::kToGo: return header;
    case VolumeKind::kVista:
      refuse("bitlocker-vista",
             partition.name() + " is a BitLocker volume of Windows Vista, which is not supported",
             "Open it in Windows and encrypt it anew.");
    case VolumeKind::kConverting:
      refuse("bitlocker-converting",
             partition.name() + " is a BitLocker volume that Windows has not finished encrypting",
             "Let Windows finish the encryption, then try again.");
    case VolumeKind::kNone: break;
  }
  refuse("not-bitlocker", partition.name() + " does not hold a BitLocker volume",
         "Check that this is the right drive and partition.");
}

// Bytes a sector as the metadata implies it; 0 when that is not a sector size we know.
std::uint64_t implied_sector_size(const Metadata& metadata, const Relocation& relocation) {
  if (metadata.relocated_sectors == 0) return 0;
  const std::uint64_t bytes = relocation.size / metadata.relocated_sectors;
  const bool exact = bytes * metadata.relocated_sectors == relocation.size;
  return exact && SectorSize::is_valid(bytes) ? bytes : 0;
}

// Why a copy cannot be used, or an empty text.
std::string fault_of(const Metadata& metadata, ByteView block, std::uint64_t offset,
                     std::size_t index) {
  if (!crc_matches(metadata, block)) return "its checksum is wrong";
  if (metadata.offsets[index] != offset) return "it belongs to another place";
  if (metadata.current_state == kStateDecrypted) return {};
  const Entry* entry = metadata.find(Role::kRelocation);
  const std::optional<Relocation> relocation =
      entry == nullptr ? std::nullopt : parse_relocation(*entry);
  if (!relocation) return "it does not say where the boot sectors are";
  const std::uint64_t sector = implied_sector_size(metadata, *relocation);
  if (sector == 0 || relocation->offset != metadata.relocation_offset ||
      relocation->offset % sector != 0 || metadata.encrypted_size % sector != 0 ||
      relocation->offset > metadata.encrypted_size ||
      relocation->size > metadata.encrypted_size - relocation->offset) {
    return "it contradicts itself about where the boot sectors are";
  }
  return {};
}

std::vector<Copy> read_copies(const block::ReadableDevice& partition,
                              const std::array<std::uint64_t, 3>& offsets) {
  std::vector<Copy> sound;
  std::string faults;
  Bytes block(kMetadataSize);
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    std::string fault;
    if (offsets[i] > partition.size() || partition.size() - offsets[i] < kMetadataSize) {
      fault = "it lies outside the volume";
    } else {
      try {
        partition.read(offsets[i], block);
        Metadata metadata = parse_metadata(block);
        fault = fault_of(metadata, block, offsets[i], i);
        if (fault.empty()) sound.push_back({static_cast<unsigned>(i + 1), std::move(metadata)});
      } catch (const std::exception& error) {  // malformed, or unreadable sectors
        fault = error.what();
      }
    }
    if (!fault.empty()) faults += " copy " + std::to_string(i + 1) + ": " + fault + ";";
  }
  if (sound.empty()) {
    faults.pop_back();
    throw Error(ErrorKind::kVerification, "bitlocker-metadata-damaged",
                "none of the three metadata copies of " + partition.name() + " is usable:" + faults,
                "Read the drive with other hardware, or prepare it again.");
  }
  return sound;
}

void check_state(const block::ReadableDevice& partition, const Metadata& metadata) {
  if (metadata.current_state == kStateDecrypted && metadata.next_state == kStateDecrypted) {
    refuse("bitlocker-decrypted", partition.name() + " has BitLocker metadata but is not encrypted",
           "Read it as an ordinary volume.");
  }
  if (metadata.current_state != kStateEncrypted || metadata.next_state != kStateEncrypted) {
    refuse("bitlocker-converting",
           partition.name() + " is a BitLocker volume in the middle of a conversion (state " +
               std::to_string(metadata.current_state) + ", next " +
               std::to_string(metadata.next_state) + ")",
           "Let Windows finish the conversion, then try again.");
  }
}

// A credential made ready: what the protectors of its kind are opened with.
struct Key {
  ProtectorClass kind{};
  std::string_view name;  // for messages
  SecretBytes secret;     // hash to stretch, or key
};

Key key_of(const Credential& credential) {
  if (const auto* recovery = std::get_if<RecoveryPassword>(&credential)) {
    return {ProtectorClass::kRecoveryPassword, "recovery password",
            recovery_password_hash(*recovery)};
  }
  if (const auto* password = std::get_if<PasswordCredential>(&credential)) {
    return {ProtectorClass::kPassword, "password", password_hash(password->utf8)};
  }
  if (const auto* external = std::get_if<ExternalKeyCredential>(&credential)) {
    return {ProtectorClass::kExternalKey, "external key", parse_external_key(external->file).key};
  }
  return {ProtectorClass::kClearKey, "clear key", {}};
}

std::optional<SecretBytes> try_protector(const Entry& protector, const Key& key) {
  switch (key.kind) {
    case ProtectorClass::kExternalKey: return open_with_kek(protector, key.secret);
    case ProtectorClass::kClearKey: return open_clear(protector);
    default: return open_with_hash(protector, key.secret);
  }
}

struct Unlocked {
  SecretBytes vmk;
  Guid protector;
};

Unlocked unlock(const block::ReadableDevice& partition, const Metadata& metadata, const Key& key) {
  std::size_t tried = 0;
  for (const Entry& entry : metadata.entries) {
    const std::optional<ProtectorFacts> facts = protector_facts(entry);
    if (!facts || facts->kind != key.kind) continue;
    ++tried;
    if (std::optional<SecretBytes> vmk = try_protector(entry, key)) {
      return {std::move(*vmk), facts->id};
    }
  }
  if (tried == 0) {
    refuse("no-such-protector",
           partition.name() + " has no protector of the kind \"" + std::string(key.name) +
               "\", so this key cannot open it",
           "Use another of the volume's keys.");
  }
  throw Error(ErrorKind::kKey, "key-does-not-open",
              "this " + std::string(key.name) + " does not open " + partition.name() + " (volume " +
                  metadata.volume_id.lower() + ")",
              "Check that the key belongs to this volume.");
}

VolumeLayout layout_of(const Metadata& metadata, std::uint64_t cluster_size) {
  const Relocation relocation = *parse_relocation(*metadata.find(Role::kRelocation));
  VolumeLayout layout;
  layout.volume_size = metadata.encrypted_size;
  layout.sector_size = SectorSize(implied_sector_size(metadata, relocation));
  layout.cluster_size = cluster_size;
  layout.metadata = metadata.offsets;
  layout.header_backup = relocation.offset;
  layout.header_backup_size = relocation.size;
  if (relocation.extension && relocation.extension->reserved_size != 0) {
    layout.reserved = relocation.extension->reserved_offset;
  }
  return layout;
}

std::shared_ptr<const SectorCipher> open_cipher(const block::ReadableDevice& partition,
                                                const Metadata& metadata, const SecretBytes& vmk,
                                                Cipher cipher, SectorSize sector_size) {
  const Entry* wrapped = metadata.find(Role::kFvek);
  std::optional<UnwrappedKey> fvek = wrapped == nullptr ? std::nullopt : unwrap_key(vmk, *wrapped);
  if (!fvek || fvek->key_type != metadata.method) {
    throw Error(ErrorKind::kVerification, "bitlocker-metadata-damaged",
                "the volume key of " + partition.name() + " cannot be unwrapped",
                "Prepare the drive again.");
  }
  return std::make_shared<SectorCipher>(cipher, std::move(fvek->key), sector_size);
}

OpenedVolume open_copy(const block::ReadableDevice& partition, const Copy& copy, const Key& key,
                       std::uint64_t cluster_size, const OpenOptions& options) {
  const Metadata& metadata = copy.metadata;
  check_state(partition, metadata);
  const std::optional<Cipher> cipher = cipher_from_method(metadata.method);
  if (!cipher) {
    refuse("bitlocker-cipher-unknown",
           partition.name() + " is encrypted by method " + std::to_string(metadata.method) +
               ", which driveprep does not know",
           "Open it in Windows.");
  }
  Unlocked unlocked = unlock(partition, metadata, key);
  if (!options.accept_wrong_integrity &&
      check_integrity(metadata, unlocked.vmk) != Integrity::kGood) {
    throw Error(ErrorKind::kVerification, "bitlocker-integrity",
                "the metadata of " + partition.name() +
                    " was changed by somebody who did not hold its key (integrity hash)",
                "Do not trust this drive; prepare it again.");
  }
  OpenedVolume volume;
  volume.layout = layout_of(metadata, cluster_size);
  volume.cipher =
      open_cipher(partition, metadata, unlocked.vmk, *cipher, volume.layout.sector_size);
  volume.metadata = metadata;
  volume.volume_id = metadata.volume_id;
  volume.protector = unlocked.protector;
  volume.copy_used = copy.number;
  volume.has_clear_key = std::ranges::any_of(metadata.entries, [](const Entry& entry) {
    const std::optional<ProtectorFacts> facts = protector_facts(entry);
    return facts && facts->kind == ProtectorClass::kClearKey;
  });
  volume.vmk = std::move(unlocked.vmk);
  return volume;
}

}  // namespace

OpenedVolume open_volume(const block::ReadableDevice& partition, const Credential& credential,
                         const OpenOptions& options) {
  VolumeHeader header;
  if (options.metadata_offsets) {
    header.metadata = *options.metadata_offsets;
  } else {
    header = read_header(partition);
  }
  const std::vector<Copy> copies = read_copies(partition, header.metadata);
  const Key key = key_of(credential);

  // Copies differ only when somebody changed one, or was interrupted between two: then a later one
  // may open where the first does not. What is reported is what was wrong with the first.
  std::exception_ptr first_failure;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (i != 0 && copies[i].metadata == copies[i - 1].metadata) continue;
    try {
      return open_copy(partition, copies[i], key, header.cluster_size, options);
    } catch (const Error&) {
      if (!first_failure) first_failure = std::current_exception();
    }
  }
  std::rethrow_exception(first_failure);
}

}  // namespace driveprep::bitlocker

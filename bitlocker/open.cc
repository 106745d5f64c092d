#include "bitlocker/open.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "bitlocker/ccm.h"
#include "bitlocker/examine.h"
#include "bitlocker/external_key.h"
#include "bitlocker/key_derivation.h"
#include "bitlocker/protector.h"
#include "bitlocker/relocation.h"

namespace driveprep::bitlocker {
namespace {

[[noreturn]] void refuse(const std::string& code, const std::string& message,
                         const std::string& remedy) {
  throw Error(ErrorKind::kRefused, code, message, remedy);
}

void check_state(const block::ReadableDevice& partition, const Metadata& metadata) {
  if (metadata.current_state == kStateDecrypted && metadata.next_state == kStateDecrypted) {
    refuse("bitlocker-decrypted", partition.name() + " has BitLocker metadata but is not encrypted",
           "Read it as an ordinary volume.");
  }
  if (!metadata.is_finished()) {
    refuse("bitlocker-converting",
           partition.name() + " is a BitLocker volume in the middle of a conversion (state " +
               std::to_string(metadata.current_state) + ", next " +
               std::to_string(metadata.next_state) + ")",
           "Let Windows finish the conversion, then try again.");
  }
}

[[noreturn]] void refuse_converting(const block::ReadableDevice& partition) {
  refuse("bitlocker-converting",
         partition.name() + " is a BitLocker volume that Windows has not finished encrypting",
         "Let Windows finish the encryption, then try again.");
}

void check_kind(const block::ReadableDevice& partition, const VolumeFacts& facts) {
  switch (facts.header.kind) {
    case VolumeKind::kNtfs:
    case VolumeKind::kToGo: return;
    case VolumeKind::kVista:
      refuse("bitlocker-vista",
             partition.name() + " is a BitLocker volume of Windows Vista, which is not supported",
             "Open it in Windows and encrypt it anew.");
    case VolumeKind::kConverting:
      // Windows prepares a volume with this header, too, before it encrypts anything.
      if (const CopyFacts* copy = facts.newest()) check_state(partition, *copy->metadata);
      refuse_converting(partition);
    case VolumeKind::kNone: break;
  }
  if (facts.has_sound_copy()) return;  // only the header is lost
  refuse("not-bitlocker",
         partition.name() + " does not hold a BitLocker volume" +
             (facts.searched ? ", and no metadata of one was found" : ""),
         "Check that this is the right drive and partition.");
}

// Slots of the sound copies, the one written last first.
std::vector<std::size_t> sound_copies(const block::ReadableDevice& partition,
                                      const VolumeFacts& facts) {
  std::vector<std::size_t> sound;
  std::string faults;
  for (std::size_t i = 0; i < facts.copies.size(); ++i) {
    if (facts.copies[i].sound()) {
      sound.push_back(i);
    } else {
      faults += " copy " + std::to_string(i + 1) + ": " + facts.copies[i].fault + ";";
    }
  }
  if (sound.empty()) {
    faults.pop_back();
    throw Error(ErrorKind::kVerification, "bitlocker-metadata-damaged",
                "none of the three metadata copies of " + partition.name() + " is usable:" + faults,
                "Read the drive with other hardware, or prepare it again.");
  }
  std::ranges::stable_sort(sound, std::greater(),
                           [&](std::size_t i) { return facts.copies[i].metadata->next_nonce; });
  return sound;
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

UnlockedVolume unlock(const block::ReadableDevice& partition, const Metadata& metadata,
                      const Key& key) {
  std::size_t tried = 0;
  std::exception_ptr not_understood;  // another protector of the kind may open it all the same
  for (const Entry& entry : metadata.entries) {
    const std::optional<ProtectorFacts> facts = protector_facts(entry);
    if (!facts || facts->kind != key.kind) continue;
    ++tried;
    try {
      if (std::optional<SecretBytes> vmk = try_protector(entry, key)) {
        return {std::move(*vmk), facts->id};
      }
    } catch (const Error&) {
      if (!not_understood) not_understood = std::current_exception();
    }
  }
  if (not_understood) std::rethrow_exception(not_understood);
  if (tried == 0) {
    throw Error(ErrorKind::kKey, "no-such-protector",
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
  layout.sector_size = SectorSize(sector_size_of(metadata));
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

OpenedVolume open_copy(const block::ReadableDevice& partition, const Metadata& metadata,
                       const Key& key, const VolumeHeader& header, const OpenOptions& options) {
  check_state(partition, metadata);
  if (header.kind == VolumeKind::kNone && says_converting(metadata)) refuse_converting(partition);
  const std::optional<Cipher> cipher = cipher_from_method(metadata.method);
  if (!cipher) {
    refuse("bitlocker-cipher-unknown",
           partition.name() + " is encrypted by method " + std::to_string(metadata.method) +
               ", which driveprep does not know",
           "Open it in Windows.");
  }
  UnlockedVolume unlocked = unlock(partition, metadata, key);
  OpenedVolume volume;
  volume.integrity = check_integrity(metadata, unlocked.vmk);
  if (volume.integrity != Integrity::kGood && !options.accept_wrong_integrity) {
    throw Error(ErrorKind::kVerification, "bitlocker-integrity",
                "the metadata of " + partition.name() +
                    (volume.integrity == Integrity::kAbsent
                         ? " has no integrity hash"
                         : " was changed by somebody who did not hold its key (integrity hash)"),
                "Do not trust this drive; prepare it again.");
  }
  volume.layout = layout_of(metadata, header.cluster_size);
  volume.cipher =
      open_cipher(partition, metadata, unlocked.vmk, *cipher, volume.layout.sector_size);
  volume.metadata = metadata;
  volume.volume_id = metadata.volume_id;
  volume.protector = unlocked.protector;
  volume.has_clear_key = has_clear_key(metadata.entries);
  volume.vmk = std::move(unlocked.vmk);
  return volume;
}

}  // namespace

OpenedVolume open_volume(const block::ReadableDevice& partition, const Credential& credential,
                         const OpenOptions& options) {
  ExamineOptions how;
  how.metadata_offsets = options.metadata_offsets;
  return open_volume(partition, examine(partition, how), credential, options);
}

OpenedVolume open_volume(const block::ReadableDevice& partition, const VolumeFacts& facts,
                         const Credential& credential, const OpenOptions& options) {
  if (!options.metadata_offsets) check_kind(partition, facts);
  const std::vector<std::size_t> slots = sound_copies(partition, facts);
  const Key key = key_of(credential);

  // Copies differ only when somebody changed one, or was interrupted between two: then an older one
  // may open where the newest does not. What is reported is what was wrong with the newest.
  std::exception_ptr first_failure;
  const auto try_copies = [&](const OpenOptions& how) -> std::optional<OpenedVolume> {
    const Metadata* last = nullptr;
    for (const std::size_t slot : slots) {
      const Metadata& metadata = *facts.copies[slot].metadata;
      if (last != nullptr && metadata == *last) continue;
      last = &metadata;
      try {
        OpenedVolume volume = open_copy(partition, metadata, key, facts.header, how);
        volume.copy_used = static_cast<unsigned>(slot + 1);
        return volume;
      } catch (const Error&) {
        if (!first_failure) first_failure = std::current_exception();
      }
    }
    return std::nullopt;
  };

  // One with a wrong integrity hash is taken only where there is no other.
  OpenOptions strict = options;
  strict.accept_wrong_integrity = false;
  if (std::optional<OpenedVolume> volume = try_copies(strict)) return std::move(*volume);
  if (options.accept_wrong_integrity) {
    if (std::optional<OpenedVolume> volume = try_copies(options)) return std::move(*volume);
  }
  std::rethrow_exception(first_failure);
}

UnlockedVolume unlock_volume(const block::ReadableDevice& partition, const VolumeFacts& facts,
                             const Credential& credential) {
  const std::vector<std::size_t> slots = sound_copies(partition, facts);
  const Key key = key_of(credential);
  std::exception_ptr first_failure;
  std::optional<UnlockedVolume> of_unsigned;
  for (const std::size_t slot : slots) {
    const Metadata& metadata = *facts.copies[slot].metadata;
    try {
      UnlockedVolume unlocked = unlock(partition, metadata, key);
      if (check_integrity(metadata, unlocked.vmk) == Integrity::kGood) return unlocked;
      if (!of_unsigned) of_unsigned = std::move(unlocked);
    } catch (const Error&) {
      if (!first_failure) first_failure = std::current_exception();
    }
  }
  if (!of_unsigned) std::rethrow_exception(first_failure);
  return std::move(*of_unsigned);
}

}  // namespace driveprep::bitlocker

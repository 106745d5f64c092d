#include "bitlocker/protector_edit.h"

#include <algorithm>
#include <cctype>
#include <limits>

#include "bitlocker/ccm.h"
#include "bitlocker/create.h"
#include "bitlocker/layout.h"

namespace driveprep::bitlocker {
namespace {

constexpr std::size_t kShortestId = 8;      // characters
constexpr std::uint32_t kNoncesKept = 100;  // more than one edit takes
// Behind the signed part: its header of 8 bytes, and the integrity entry of 80.
constexpr std::size_t kValidationSize = 88;

// The first counter behind all that an entry and what is nested in it were wrapped with.
std::uint32_t counter_behind(const Entry& entry) {
  std::uint32_t next = 0;
  if (const auto nonce = nonce_of(entry)) {
    next = nonce->counter == std::numeric_limits<std::uint32_t>::max() ? nonce->counter
                                                                       : nonce->counter + 1;
  }
  for (const Entry& child : entry.children) next = std::max(next, counter_behind(child));
  return next;
}

// Of the copies that were signed with the volume master key: no other has used it.
std::uint32_t counter_behind(const VolumeFacts& facts, const SecretBytes& vmk) {
  std::uint32_t next = 0;
  for (const CopyFacts& copy : facts.copies) {
    if (!copy.sound() || check_integrity(*copy.metadata, vmk) != Integrity::kGood) continue;
    next = std::max(next, copy.metadata->next_nonce);
    for (const Entry& entry : copy.metadata->entries) next = std::max(next, counter_behind(entry));
    if (copy.metadata->integrity) next = std::max(next, counter_behind(*copy.metadata->integrity));
  }
  if (next > std::numeric_limits<std::uint32_t>::max() - kNoncesKept) {
    throw Error(ErrorKind::kRefused, "nonces-used-up",
                "the volume's counter for encrypting keys has come to its end",
                "Copy the data to a new volume.");
  }
  return next;
}

// Keys that a person can hold; a clear key or a TPM elsewhere is none.
bool can_be_held(ProtectorClass kind) {
  return kind == ProtectorClass::kRecoveryPassword || kind == ProtectorClass::kPassword ||
         kind == ProtectorClass::kExternalKey;
}

// What is left of an id for comparing: its digits in lower case.
std::string plain_id(const std::string& id) {
  std::string plain;
  for (const char c : id) {
    if (c != '{' && c != '}')
      plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return plain;
}

}  // namespace

ProtectorEdit::ProtectorEdit(const OpenedVolume& volume, const VolumeFacts& facts, FileTime now)
    : metadata_(volume.metadata),
      vmk_(volume.vmk),
      now_(now),
      nonces_(now.rounded_to_ms(), counter_behind(facts, volume.vmk)) {
  if (volume.integrity != Integrity::kGood) {
    throw Error(ErrorKind::kVerification, "bitlocker-integrity",
                "the metadata was changed by somebody who did not hold its key; changing the "
                "protectors would sign it",
                "Do not trust this drive; copy what can be read and prepare it again.");
  }
  const CopyFacts* newest = facts.newest_signed(vmk_);
  if (newest == nullptr || metadata_ != *newest->metadata) {
    throw Error(ErrorKind::kKey, "protector-change-interrupted",
                "an earlier change of the protectors was interrupted, and this key is not among "
                "the new ones",
                "Give a key that the change has left in place or added.");
  }
}

// Windows keeps the relocation info last, where it is last.
void ProtectorEdit::insert(Entry protector) {
  auto at = metadata_.entries.end();
  if (!metadata_.entries.empty() && metadata_.entries.back().role == Role::kRelocation) --at;
  metadata_.entries.insert(at, std::move(protector));
}

Guid ProtectorEdit::add_recovery_password(const RecoveryPassword& password) {
  const Guid id = Guid::random();
  insert(make_recovery_protector(id, now_, password, vmk_, nonces_));
  return id;
}

Guid ProtectorEdit::add_password(const SecretBytes& utf8) {
  check_password(utf8);
  for (const ProtectorFacts& facts : protectors(metadata_.entries)) {
    if (facts.kind != ProtectorClass::kPassword) continue;
    throw Error(ErrorKind::kUsage, "protector-exists",
                "the volume has a password already (protector " + facts.id.lower() +
                    "), and Windows keeps one at most",
                "Change that one, or remove it first.");
  }
  const Guid id = Guid::random();
  insert(make_password_protector(id, now_, utf8, vmk_, nonces_));
  return id;
}

Guid ProtectorEdit::add_external_key(ExternalKeyFile& file) {
  const ExternalKey key = new_external_key(now_);
  insert(make_external_key_protector(key.protector, now_, key.key, vmk_, nonces_));
  file = external_key_file(key);
  return key.protector;
}

void ProtectorEdit::remove(const Guid& id) {
  const auto entry = std::ranges::find_if(metadata_.entries, [&](const Entry& candidate) {
    const auto facts = protector_facts(candidate);
    return facts && facts->id == id;
  });
  if (entry == metadata_.entries.end()) {
    throw Error(ErrorKind::kUsage, "protector-unknown", "the volume has no protector " + id.lower(),
                "driveprep volume info lists the protectors of a volume.");
  }
  metadata_.entries.erase(entry);
}

Bytes ProtectorEdit::seal() && {
  if (std::ranges::none_of(protectors(metadata_.entries), can_be_held, &ProtectorFacts::kind)) {
    throw Error(ErrorKind::kRefused, "last-protector",
                "without its last recovery password, password or external key nobody could open "
                "this volume",
                "Add another protector first.");
  }
  const Nonce integrity{now_, nonces_.take().counter};
  metadata_.next_nonce = nonces_.next();
  if (metadata_.signed_size() + kValidationSize > kMetadataSize) {
    throw Error(ErrorKind::kRefused, "metadata-full",
                "the metadata of a volume has 64 KiB, and one more protector does not fit",
                "Remove a protector first.");
  }
  bitlocker::seal(metadata_, vmk_, integrity);
  return serialise(metadata_);
}

ProtectorFacts find_protector(const Metadata& metadata, const std::string& id) {
  const std::string wanted = plain_id(id);
  std::vector<ProtectorFacts> found;
  for (const ProtectorFacts& facts : protectors(metadata.entries)) {
    const std::string candidate = facts.id.lower();
    if (candidate == wanted || (wanted.size() >= kShortestId && candidate.starts_with(wanted))) {
      found.push_back(facts);
    }
  }
  if (found.size() == 1) return found.front();
  throw Error(ErrorKind::kUsage, found.empty() ? "protector-unknown" : "protector-ambiguous",
              "the volume has " +
                  std::string(found.empty() ? "no protector" : "several protectors") +
                  " with the id " + id,
              "driveprep volume info lists the protectors of a volume.");
}

}  // namespace driveprep::bitlocker

#include "bitlocker/protector.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "bitlocker/key_derivation.h"

namespace driveprep::bitlocker {
namespace {

// A stretch key with this flag names another derivation than the million rounds of SHA-256.
constexpr std::uint16_t kFlagNamedStretching = 0x40;

std::uint16_t number(KeyType type) { return static_cast<std::uint16_t>(type); }

Entry protector_entry(const Guid& id, FileTime changed, ProtectorClass kind) {
  Entry entry;
  entry.role = Role::kProtector;
  entry.type = ValueType::kProtector;
  ByteWriter fixed;
  fixed.bytes(id.on_disk())
      .u64(changed.rounded_to_ms().ticks)
      .u16(0)
      .u16(static_cast<std::uint16_t>(kind));
  entry.fixed = fixed.take();
  return entry;
}

Entry stretch_key_entry(KeyType type, ByteView salt) {
  Entry entry;
  entry.type = ValueType::kStretchKey;
  ByteWriter fixed;
  fixed.u16(number(type)).u16(0).bytes(salt);
  entry.fixed = fixed.take();
  return entry;
}

Entry wrapped_vmk(const SecretBytes& kek, const SecretBytes& vmk, NonceSource& nonces) {
  require(vmk.size() == kVmkSize, "a volume master key has 32 bytes");
  return wrap_key(kek, nonces.take(), Role::kProperty, number(KeyType::kVmk), vmk);
}

}  // namespace

std::optional<ProtectorFacts> protector_facts(const Entry& entry) {
  if (entry.type != ValueType::kProtector || entry.fixed.empty()) return std::nullopt;
  ByteReader reader(entry.fixed);
  ProtectorFacts facts;
  facts.id = Guid::from_disk(reader.take(Guid::kSize));
  facts.changed = FileTime{reader.u64()};
  reader.skip(2);
  facts.kind = static_cast<ProtectorClass>(reader.u16());
  return facts;
}

std::vector<ProtectorFacts> protectors(std::span<const Entry> entries) {
  std::vector<ProtectorFacts> result;
  for (const Entry& entry : entries) {
    if (const auto facts = protector_facts(entry)) result.push_back(*facts);
  }
  return result;
}

bool has_clear_key(std::span<const Entry> entries) {
  return std::ranges::any_of(protectors(entries), [](const ProtectorFacts& facts) {
    return facts.kind == ProtectorClass::kClearKey;
  });
}

std::string protector_name(ProtectorClass kind) {
  switch (kind) {
    case ProtectorClass::kClearKey: return "clear key";
    case ProtectorClass::kTpm: return "TPM";
    case ProtectorClass::kExternalKey: return "external key";
    case ProtectorClass::kTpmAndPin: return "TPM and PIN";
    case ProtectorClass::kRecoveryPassword: return "recovery password";
    case ProtectorClass::kPublicKey: return "certificate";
    case ProtectorClass::kPassword: return "password";
  }
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "unknown (class 0x%04x)", static_cast<unsigned>(kind));
  return text.data();
}

Entry make_password_protector(const Guid& id, FileTime changed, const SecretBytes& password_utf8,
                              const SecretBytes& vmk, NonceSource& nonces) {
  const SecretBytes salt = SecretBytes::random(kSaltSize);
  const SecretBytes kek = stretch(password_hash(password_utf8), salt.span());
  Entry protector = protector_entry(id, changed, ProtectorClass::kPassword);
  Entry stretched = stretch_key_entry(KeyType::kPasswordStretch, salt.span());
  stretched.children.push_back(
      wrap_key(vmk, nonces.take(), Role::kProperty, number(KeyType::kPasswordKek), kek));
  protector.children.push_back(std::move(stretched));
  protector.children.push_back(wrapped_vmk(kek, vmk, nonces));
  return protector;
}

Entry make_recovery_protector(const Guid& id, FileTime changed, const RecoveryPassword& password,
                              const SecretBytes& vmk, NonceSource& nonces) {
  const SecretBytes salt = SecretBytes::random(kSaltSize);
  const SecretBytes kek = stretch(recovery_password_hash(password), salt.span());
  Entry protector = protector_entry(id, changed, ProtectorClass::kRecoveryPassword);
  Entry stretched = stretch_key_entry(KeyType::kRecoveryKey, salt.span());
  stretched.children.push_back(wrap_key(vmk, nonces.take(), Role::kRecoveryKeyEscrow,
                                        number(KeyType::kRecoveryKey), password.key()));
  stretched.children.push_back(
      wrap_key(vmk, nonces.take(), Role::kRecoveryKekEscrow, number(KeyType::kRecoveryKek), kek));
  protector.children.push_back(std::move(stretched));
  protector.children.push_back(wrapped_vmk(kek, vmk, nonces));
  return protector;
}

Entry make_external_key_protector(const Guid& id, FileTime changed, const SecretBytes& key,
                                  const SecretBytes& vmk, NonceSource& nonces) {
  Entry protector = protector_entry(id, changed, ProtectorClass::kExternalKey);
  protector.children.push_back(text_entry(Role::kProperty, kExternalKeyLabel));
  Entry use;
  use.type = ValueType::kUseKey;
  use.fixed = ByteWriter().u16(number(KeyType::kExternal)).u16(0).take();
  use.children.push_back(
      wrap_key(vmk, nonces.take(), Role::kProperty, number(KeyType::kExternal), key));
  protector.children.push_back(std::move(use));
  protector.children.push_back(wrapped_vmk(key, vmk, nonces));
  return protector;
}

std::optional<SecretBytes> open_with_kek(const Entry& protector, const SecretBytes& kek) {
  const Entry* wrapped = protector.child(ValueType::kWrapped);
  if (wrapped == nullptr) return std::nullopt;
  std::optional<UnwrappedKey> vmk = unwrap_key(kek, *wrapped);
  if (!vmk || vmk->key.size() != kVmkSize) return std::nullopt;
  return std::move(vmk->key);
}

std::optional<SecretBytes> open_with_hash(const Entry& protector, const SecretBytes& hash) {
  const Entry* stretched = protector.child(ValueType::kStretchKey);
  if (stretched == nullptr || stretched->fixed.empty()) return std::nullopt;
  ByteReader reader(stretched->fixed);
  reader.skip(2);
  const std::uint16_t flags = reader.u16();
  const bool named = stretched->child(Role::kStretchingName, ValueType::kText) != nullptr ||
                     protector.child(Role::kStretchingName, ValueType::kText) != nullptr;
  if (named || (flags & kFlagNamedStretching) != 0) {
    throw Error(ErrorKind::kRefused, "bitlocker-stretching-unknown",
                "this protector derives its key in a way that driveprep does not know (FIPS mode)",
                "Open the volume with another of its keys, for example an external key file.");
  }
  return open_with_kek(protector, stretch(hash, reader.take(kSaltSize)));
}

std::optional<SecretBytes> open_clear(const Entry& protector) {
  const Entry* clear = protector.child(ValueType::kKey);
  if (clear == nullptr || clear->data.size() != kVmkSize) return std::nullopt;
  return open_with_kek(protector, SecretBytes::copy_of(ByteView(clear->data)));
}

}  // namespace driveprep::bitlocker

// Protectors: each wraps the volume master key (VMK) under a key of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file_time.h"
#include "base/guid.h"
#include "base/secret_bytes.h"
#include "bitlocker/ccm.h"
#include "bitlocker/entry.h"
#include "bitlocker/recovery_password.h"

namespace driveprep::bitlocker {

enum class ProtectorClass : std::uint16_t {
  kClearKey = 0x0000,
  kTpm = 0x0100,
  kExternalKey = 0x0200,
  kTpmAndPin = 0x0500,
  kRecoveryPassword = 0x0800,
  kPublicKey = 0x1000,
  kPassword = 0x2000,
};

inline constexpr std::size_t kVmkSize = 32;

// Counters for wrapping, none handed out twice.
class NonceSource {
 public:
  NonceSource(FileTime time, std::uint32_t first) : time_(time), next_(first) {}
  Nonce take() { return {time_, next_++}; }
  void skip() { ++next_; }
  std::uint32_t next() const { return next_; }

 private:
  FileTime time_;
  std::uint32_t next_;
};

struct ProtectorFacts {
  Guid id;
  FileTime changed;
  ProtectorClass kind{};
};
// nullopt when the entry is no protector or cut short.
std::optional<ProtectorFacts> protector_facts(const Entry& entry);
// The protectors among these entries, in their order.
std::vector<ProtectorFacts> protectors(std::span<const Entry> entries);
// Whether one of them lies open: anybody can read the volume.
bool has_clear_key(std::span<const Entry> entries);
// "recovery password", "external key", ... and "unknown (class 0x....)".
std::string protector_name(ProtectorClass kind);

// New protectors, as Windows 8 and later build them, with the escrow entries that let an unlocked
// Windows show and save the keys again. The counters are taken in the order in which Windows does.
Entry make_password_protector(const Guid& id, FileTime changed, const SecretBytes& password_utf8,
                              const SecretBytes& vmk, NonceSource& nonces);
Entry make_recovery_protector(const Guid& id, FileTime changed, const RecoveryPassword& password,
                              const SecretBytes& vmk, NonceSource& nonces);
// `key`: 32 bytes.
Entry make_external_key_protector(const Guid& id, FileTime changed, const SecretBytes& key,
                                  const SecretBytes& vmk, NonceSource& nonces);

// The VMK when `kek` is the right key for this protector.
std::optional<SecretBytes> open_with_kek(const Entry& protector, const SecretBytes& kek);
// The same from what is stretched first: 32 bytes from key_derivation.h. Throws kRefused
// "bitlocker-stretching-unknown" when the protector asks for another derivation (PBKDF2).
std::optional<SecretBytes> open_with_hash(const Entry& protector, const SecretBytes& hash);
// The VMK of a clear-key protector, which needs nothing.
std::optional<SecretBytes> open_clear(const Entry& protector);

}  // namespace driveprep::bitlocker

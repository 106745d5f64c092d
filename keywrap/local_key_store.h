// The key store that driveprep manages itself: RSA keys in a private directory, used when a job
// names no key of its own.
//
//   <directory>/            0700
//     store.json            format, store id, retention, purge protection
//     unlock                the unlock secret: 32 random bytes as 64 hex digits and a line feed; or
//                           in a file elsewhere, or a passphrase that nothing keeps
//     lock                  held while the store is changed
//     keys/<name>/key.json  the versions with their attributes and public keys
//     keys/<name>/<version>.pem
//                           PKCS#8 encrypted under the unlock secret (PBES2: PBKDF2 with
//                           HMAC-SHA-256, 600000 rounds, AES-256-CBC); `openssl pkey -passin
//                           file:unlock` opens it
//
// Whoever can read both the .pem and the unlock file has the key: with an unlock file the
// protection is that of file permissions. Every file is 0600, belongs to the effective user and is
// no symbolic link, or it is refused. Files appear whole or not at all; a crash leaves at most a
// .pem or a temporary file that nothing refers to.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "keywrap/condition.h"
#include "keywrap/key_store.h"
#include "keywrap/unlock_secret.h"

namespace driveprep::keywrap {

class RsaKey;
struct KeyRecord;
struct StoreRecord;
struct VersionRecord;

inline constexpr std::string_view kDefaultKeyName = "default";

struct KeyParameters {
  unsigned bits = 3072;  // 2048, 3072 or 4096
  std::optional<UnixSeconds> not_before;
  std::optional<UnixSeconds> expires;
};

// What a store is made with.
struct StoreSettings {
  int retention_days = 90;  // 7 to 90: how long a deleted key can be recovered at least
  bool purge_protection = true;
  // Where the unlock secret lies, or comes to lie if the file is missing; empty: in the store.
  std::filesystem::path unlock_file = {};
  // Instead of a file; not empty, and kept nowhere.
  SecretBytes passphrase = {};
};

struct Deletion {
  UnixSeconds deleted = 0;
  UnixSeconds scheduled_purge = 0;
};

// A key with all of its versions, oldest first.
struct LocalKey {
  std::string name;
  std::vector<KeyVersion> versions;
  std::optional<Deletion> deletion;
};

// Plain errors of kind kKey besides the KeyErrors of KeyStore: key-store-missing, key-store-unsafe
// (permissions, owner, symbolic link), key-store-corrupt, key-store-locked-out (the unlock secret
// does not fit, or nobody knows it), key-store-exists, key-exists, key-not-deleted,
// key-purge-refused, key-name-invalid, key-size-unsupported, key-generation-failed, key-passphrase.
class LocalKeyStore final : public KeyStore {
 public:
  struct Options {
    std::filesystem::path directory;
    UnlockSources unlock;
    Clock clock = system_clock_seconds;
  };

  static std::unique_ptr<LocalKeyStore> open(Options options);
  // Makes the directory (and its parents), the unlock secret and store.json; key-store-exists when
  // there is a store.
  static std::unique_ptr<LocalKeyStore> create(Options options, const StoreSettings& settings);
  // Makes one with the default settings when there is no store yet. Several processes may do this
  // at once: one creates, all get the same store.
  static std::unique_ptr<LocalKeyStore> open_or_create(Options options);
  ~LocalKeyStore() override;

  const std::string& id() const;
  int retention_days() const;
  bool purge_protection() const;
  // Nothing when the store opens with a passphrase.
  std::optional<std::filesystem::path> unlock_file() const;
  // Asks for the passphrase now, if it will be needed: for when there is a better time for
  // questions than the first use of a key.
  void unlock();

  bool owns(std::string_view uri) const override;
  KeyVersion describe(std::string_view uri) override;
  // The same by the name of the key alone.
  KeyVersion newest(std::string_view name);
  Bytes wrap(std::string_view kid, const SecretBytes& secret) override;

  // As newest(), but makes the key (RSA 3072) when the store has none of that name.
  KeyVersion newest_or_create(std::string_view name = kDefaultKeyName);
  KeyVersion create_key(std::string_view name, const KeyParameters& parameters = {});
  // Rotation: what was wrapped under older versions stays readable.
  KeyVersion new_version(std::string_view name, const KeyParameters& parameters = {});
  KeyVersion set_enabled(std::string_view kid, bool enabled);
  KeyVersion set_validity(std::string_view kid, std::optional<UnixSeconds> not_before,
                          std::optional<UnixSeconds> expires);
  // A deleted key neither wraps nor unwraps, and can be recovered until it is purged.
  Deletion delete_key(std::string_view name);
  void recover_key(std::string_view name);
  // The key, if it may be purged now: key-not-deleted, key-purge-refused. With purge protection a
  // key is kept until its scheduled date.
  LocalKey require_purgeable(std::string_view name) const;
  // Removes a deleted key for good: nothing under it can be opened ever after. Nothing is
  // overwritten on the disk.
  void purge_key(std::string_view name);
  // By name, deleted ones included.
  std::vector<LocalKey> keys() const;
  // One of them; kKeyNotFound.
  LocalKey key(std::string_view name) const;

 private:
  Unwrapped do_unwrap(std::string_view kid, ByteView wrapped, WrapAlgorithm algorithm) override;
  explicit LocalKeyStore(Options options);

  std::filesystem::path key_directory(std::string_view name) const;
  // Deleted keys only where `deleted_too`; throws kKeyNotFound and kKeySoftDeleted.
  KeyRecord load_key(std::string_view name, bool deleted_too = false) const;
  KeyRecord load_deleted(std::string_view name) const;
  std::optional<KeyRecord> find_key(std::string_view name) const;
  void save_key(const KeyRecord& record) const;
  KeyVersion add_version(KeyRecord record, const KeyParameters& parameters);
  KeyVersion change_version(std::string_view kid,
                            const std::function<void(VersionRecord&)>& change);
  KeyVersion description(const KeyRecord& key, const VersionRecord& version) const;
  LocalKey listed(const KeyRecord& record) const;
  std::shared_ptr<const RsaKey> private_key(const KeyRecord& key, const VersionRecord& version);

  Options options_;
  std::unique_ptr<StoreRecord> store_;
  std::unique_ptr<UnlockSecret> unlock_;
  std::mutex mutex_;  // guards keys_
  // Decrypted once a process: the PBKDF2 rounds cost a quarter of a second. OpenSSL keeps the
  // private parts in the locked arena.
  std::map<std::string, std::shared_ptr<const RsaKey>, std::less<>> keys_;
};

// What the operator does about a condition of a local key: commands of this program where a vault
// has its own. Empty when the remedy of the condition fits.
std::string local_remedy(Condition condition, std::string_view kid);

}  // namespace driveprep::keywrap

// The key store that driveprep manages itself: RSA keys in a private directory, used when a job
// names no key of its own.
//
//   <directory>/            0700
//     store.json            format, store id, retention, purge protection
//     unlock                the unlock secret: 32 random bytes as 64 hex digits and a line feed
//     lock                  held while the store is changed
//     keys/<name>/key.json  the versions with their attributes and public keys
//     keys/<name>/<version>.pem
//                           PKCS#8 encrypted under the unlock secret (PBES2: PBKDF2 with
//                           HMAC-SHA-256, 600000 rounds, AES-256-CBC); `openssl pkey -passin
//                           file:unlock` opens it
//
// Whoever can read both the .pem and the unlock file has the key: with the default unlock file the
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

#include "keywrap/key_store.h"

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

// Plain errors of kind kKey besides the KeyErrors of KeyStore: key-store-missing, key-store-unsafe
// (permissions, owner, symbolic link), key-store-corrupt, key-store-locked-out (the unlock secret
// does not fit), key-exists, key-name-invalid, key-size-unsupported, key-generation-failed.
class LocalKeyStore final : public KeyStore {
 public:
  struct Options {
    std::filesystem::path directory;
    std::filesystem::path unlock_file;  // empty: <directory>/unlock
    Clock clock = system_clock_seconds;
  };

  static std::unique_ptr<LocalKeyStore> open(Options options);
  // Makes the directory (and its parents), the unlock secret and store.json when there is no store
  // yet. Several processes may do this at once: one creates, all get the same store.
  static std::unique_ptr<LocalKeyStore> open_or_create(Options options);
  ~LocalKeyStore() override;

  const std::string& id() const;

  bool owns(std::string_view uri) const override;
  KeyVersion describe(std::string_view uri) override;
  // The same by the name of the key alone.
  KeyVersion newest(std::string_view name);
  Bytes wrap(std::string_view kid, const SecretBytes& secret) override;
  Unwrapped unwrap(std::string_view kid, ByteView wrapped) override;

  // As newest(), but makes the key (RSA 3072) when the store has none of that name.
  KeyVersion newest_or_create(std::string_view name = kDefaultKeyName);
  KeyVersion create_key(std::string_view name, const KeyParameters& parameters = {});
  // Rotation: what was wrapped under older versions stays readable.
  KeyVersion new_version(std::string_view name, const KeyParameters& parameters = {});
  KeyVersion set_enabled(std::string_view kid, bool enabled);
  KeyVersion set_validity(std::string_view kid, std::optional<UnixSeconds> not_before,
                          std::optional<UnixSeconds> expires);
  // A deleted key neither wraps nor unwraps, and can be recovered until its retention has passed.
  void delete_key(std::string_view name);
  void recover_key(std::string_view name);
  // Every version of every key that is not deleted; keys by name, versions oldest first.
  std::vector<KeyVersion> list();

 private:
  explicit LocalKeyStore(Options options);

  std::filesystem::path key_directory(std::string_view name) const;
  // Deleted keys only where `deleted_too`; throws kKeyNotFound and kKeySoftDeleted.
  KeyRecord load_key(std::string_view name, bool deleted_too = false) const;
  std::optional<KeyRecord> find_key(std::string_view name) const;
  void save_key(const KeyRecord& record) const;
  KeyVersion add_version(KeyRecord record, const KeyParameters& parameters);
  KeyVersion change_version(std::string_view kid,
                            const std::function<void(VersionRecord&)>& change);
  KeyVersion description(const KeyRecord& key, const VersionRecord& version) const;
  SecretBytes unlock_secret() const;
  std::shared_ptr<const RsaKey> private_key(const KeyRecord& key, const VersionRecord& version);

  Options options_;
  std::unique_ptr<StoreRecord> store_;
  std::mutex mutex_;  // guards keys_
  // Decrypted once a process: the PBKDF2 rounds cost a quarter of a second. OpenSSL keeps the
  // private parts in the locked arena.
  std::map<std::string, std::shared_ptr<const RsaKey>, std::less<>> keys_;
};

}  // namespace driveprep::keywrap

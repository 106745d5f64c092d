#include "keywrap/local_key_store.h"

#include <algorithm>
#include <cerrno>

#include "base/encoding.h"
#include "base/error.h"
#include "base/file_time.h"
#include "base/guid.h"
#include "keywrap/key_error.h"
#include "keywrap/key_uri.h"
#include "keywrap/local_key_records.h"
#include "keywrap/private_file.h"
#include "keywrap/rsa_key.h"

namespace driveprep::keywrap {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxRecordBytes = 1024 * 1024;
constexpr std::size_t kMaxPemBytes = 16 * 1024;
constexpr std::size_t kUnlockBytes = 32;
constexpr UnixSeconds kSecondsPerDay = 86'400;
constexpr int kLongestRetentionDays = 90;

[[noreturn]] void corrupt(const fs::path& file, const std::string& why) {
  throw Error(ErrorKind::kKey, "key-store-corrupt", file.string() + " cannot be used: " + why,
              "Restore the key store from its backup.");
}

[[noreturn]] void missing_key(const std::string& what) {
  throw KeyError(Condition::kKeyNotFound, "the key store has no " + what, {},
                 "Name a key of this store, or restore the store that has it.");
}

LocalKeyUri parse_uri(std::string_view kid, const std::string& store_id) {
  const auto uri = LocalKeyUri::parse(kid);
  if (!uri || uri->store_id != store_id) {
    throw KeyError(
        Condition::kUriInvalid,
        "'" + std::string(kid.substr(0, 300)) + "' is not a key of the store " + store_id, {},
        "Give keystore://" + store_id + "/keys/NAME/VERSION.");
  }
  return *uri;
}

LocalKeyUri parse_versioned_uri(std::string_view kid, const std::string& store_id) {
  LocalKeyUri uri = parse_uri(kid, store_id);
  if (uri.has_version()) return uri;
  throw KeyError(Condition::kUriInvalid, uri.to_string() + " names no version of the key", {},
                 "Give keystore://" + store_id + "/keys/NAME/VERSION.");
}

std::string require_name(std::string_view name) {
  if (auto canonical = canonical_key_name(name)) return std::move(*canonical);
  throw Error(ErrorKind::kKey, "key-name-invalid",
              "'" + std::string(name.substr(0, 200)) + "' cannot be the name of a key",
              "Use 1 to 127 letters, digits and hyphens.");
}

// Throws when there is none: then the identifier names a version that was never made.
VersionRecord& version_of(KeyRecord& key, const LocalKeyUri& uri) {
  const auto found = std::find_if(key.versions.begin(), key.versions.end(),
                                  [&](const auto& v) { return v.version == uri.version; });
  if (found == key.versions.end()) missing_key("version " + uri.version + " of key " + uri.name);
  return *found;
}

// 64 hex digits and a line feed, so that `openssl pkey -passin file:` can take the file as it is.
SecretBytes new_unlock_text() {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const SecretBytes secret = SecretBytes::random(kUnlockBytes);
  SecretBytes text(2 * kUnlockBytes + 1);
  for (std::size_t i = 0; i < kUnlockBytes; ++i) {
    const auto value = std::to_integer<unsigned>(secret.span()[i]);
    text.span()[2 * i] = static_cast<std::byte>(kDigits[value >> 4]);
    text.span()[2 * i + 1] = static_cast<std::byte>(kDigits[value & 15]);
  }
  text.span()[2 * kUnlockBytes] = std::byte{'\n'};
  return text;
}

}  // namespace

LocalKeyStore::LocalKeyStore(Options options) : options_(std::move(options)) {
  if (options_.unlock_file.empty()) options_.unlock_file = options_.directory / "unlock";
}

LocalKeyStore::~LocalKeyStore() = default;

std::unique_ptr<LocalKeyStore> LocalKeyStore::open(Options options) {
  std::unique_ptr<LocalKeyStore> store(new LocalKeyStore(std::move(options)));
  const fs::path& directory = store->options_.directory;
  const fs::path file = directory / "store.json";
  std::optional<Bytes> json;
  if (check_private_directory(directory)) json = read_private_file(file, kMaxRecordBytes);
  if (!json) {
    throw Error(ErrorKind::kKey, "key-store-missing",
                directory.string() + " does not hold a key store",
                "Check the path; a job that was prepared with a store needs that very store.");
  }
  try {
    store->store_ = std::make_unique<StoreRecord>(StoreRecord::parse(as_text(*json)));
  } catch (const FormatError& error) {
    corrupt(file, error.what());
  }
  return store;
}

std::unique_ptr<LocalKeyStore> LocalKeyStore::open_or_create(Options options) {
  const LocalKeyStore paths(options);
  const fs::path& directory = paths.options_.directory;
  make_private_directory(directory);
  {
    const FileLock lock(directory / "lock");
    if (!read_private_file(directory / "store.json", kMaxRecordBytes)) {
      // A store that exists has everything it needs: store.json comes last. A secret left by a run
      // that died before that is as good as a new one, and may be shared with another store.
      if (!read_private_secret(paths.options_.unlock_file, kMaxPemBytes)) {
        write_private_file(paths.options_.unlock_file, new_unlock_text().span());
      }
      make_private_directory(directory / "keys");
      if (!fs::is_empty(directory / "keys")) {
        corrupt(directory / "store.json", "it is missing although the store has keys");
      }
      StoreRecord record;
      record.id = Guid::random().lower();
      write_private_file(directory / "store.json", as_bytes(record.to_json()));
    }
  }
  return open(std::move(options));
}

const std::string& LocalKeyStore::id() const { return store_->id; }

bool LocalKeyStore::owns(std::string_view text) const {
  const auto uri = LocalKeyUri::parse(text);
  return uri && uri->store_id == store_->id;
}

fs::path LocalKeyStore::key_directory(std::string_view name) const {
  return options_.directory / "keys" / name;
}

std::optional<KeyRecord> LocalKeyStore::find_key(std::string_view any_case) const {
  const std::string name = require_name(any_case);
  const fs::path file = key_directory(name) / "key.json";
  if (!check_private_directory(options_.directory / "keys") ||
      !check_private_directory(key_directory(name))) {
    return std::nullopt;
  }
  const auto json = read_private_file(file, kMaxRecordBytes);
  if (!json) return std::nullopt;
  try {
    KeyRecord key = KeyRecord::parse(as_text(*json));
    if (key.name != name) corrupt(file, "it describes a key of another name");
    return key;
  } catch (const FormatError& error) {
    corrupt(file, error.what());
  }
}

KeyRecord LocalKeyStore::load_key(std::string_view name, bool deleted_too) const {
  auto key = find_key(name);
  if (!key) missing_key("key '" + std::string(name) + "'");
  if (key->deletion && !deleted_too) {
    throw KeyError(Condition::kKeySoftDeleted,
                   "the key '" + key->name + "' was deleted; it can be recovered until " +
                       FileTime::from_timespec({key->deletion->scheduled_purge, 0}).iso8601());
  }
  return std::move(*key);
}

void LocalKeyStore::save_key(const KeyRecord& record) const {
  write_private_file(key_directory(record.name) / "key.json", as_bytes(record.to_json()));
}

KeyVersion LocalKeyStore::description(const KeyRecord& key, const VersionRecord& version) const {
  KeyVersion result;
  result.kid = LocalKeyUri{store_->id, key.name, version.version}.to_string();
  result.key_type = "RSA";
  result.bits = version.bits;
  result.enabled = version.enabled;
  result.not_before = version.not_before;
  result.expires = version.expires;
  result.created = version.created;
  result.updated = version.updated;
  result.recoverable_days = static_cast<unsigned>(store_->retention_days);
  result.recovery_level =
      store_->retention_days == kLongestRetentionDays ? "Recoverable" : "CustomizedRecoverable";
  if (!store_->purge_protection) result.recovery_level += "+Purgeable";
  return result;
}

KeyVersion LocalKeyStore::describe(std::string_view text) {
  const LocalKeyUri uri = parse_uri(text, id());
  if (!uri.has_version()) return newest(uri.name);
  KeyRecord key = load_key(uri.name);
  return description(key, version_of(key, uri));
}

KeyVersion LocalKeyStore::newest(std::string_view name) {
  const KeyRecord key = load_key(name);
  return description(key, key.versions.back());
}

SecretBytes LocalKeyStore::unlock_secret() const {
  const fs::path& file = options_.unlock_file;
  auto text = read_private_secret(file, kMaxPemBytes);
  if (!text) {
    throw Error(ErrorKind::kKey, "key-store-locked-out",
                "the unlock secret " + file.string() + " is missing",
                "Restore the unlock file that belongs to this key store.");
  }
  if (text->text().ends_with('\n')) text->truncate(text->size() - 1);
  if (text->size() != 2 * kUnlockBytes) corrupt(file, "it is not 64 hex digits");
  return std::move(*text);
}

std::shared_ptr<const RsaKey> LocalKeyStore::private_key(const KeyRecord& key,
                                                         const VersionRecord& version) {
  const std::lock_guard guard(mutex_);
  if (const auto known = keys_.find(version.version); known != keys_.end()) return known->second;
  const fs::path file = key_directory(key.name) / (version.version + ".pem");
  const auto pem = read_private_file(file, kMaxPemBytes);
  if (!pem) corrupt(file, "it is missing");
  auto loaded =
      std::make_shared<const RsaKey>(RsaKey::from_pem(*pem, unlock_secret(), file.string()));
  if (loaded->public_part() != version.public_key) {
    corrupt(file, "it is another key than key.json describes");
  }
  keys_.emplace(version.version, loaded);
  return loaded;
}

Bytes LocalKeyStore::wrap(std::string_view kid, const SecretBytes& secret) {
  const LocalKeyUri uri = parse_versioned_uri(kid, id());
  KeyRecord key = load_key(uri.name);
  const VersionRecord& version = version_of(key, uri);
  require_can_wrap(description(key, version), options_.clock());
  return private_key(key, version)->encrypt(secret);
}

Unwrapped LocalKeyStore::unwrap(std::string_view kid, ByteView wrapped) {
  const LocalKeyUri uri = parse_versioned_uri(kid, id());
  KeyRecord key = load_key(uri.name);
  const VersionRecord& version = version_of(key, uri);
  std::string warning = require_can_unwrap(description(key, version), options_.clock());
  return {private_key(key, version)->decrypt(wrapped), std::move(warning)};
}

KeyVersion LocalKeyStore::add_version(KeyRecord key, const KeyParameters& parameters) {
  if (parameters.bits != 2048 && parameters.bits != 3072 && parameters.bits != 4096) {
    throw Error(ErrorKind::kKey, "key-size-unsupported",
                "an RSA key of " + std::to_string(parameters.bits) + " bits is not supported",
                "Use 2048, 3072 or 4096 bits.");
  }
  const RsaKey made = RsaKey::generate(parameters.bits);
  VersionRecord version;
  version.version = hex_lower(SecretBytes::random(16).span());
  version.not_before = parameters.not_before;
  version.expires = parameters.expires;
  version.created = version.updated = options_.clock();
  version.bits = made.bits();
  version.public_key = made.public_part();

  // The private key first: key.json never names a version that cannot be used.
  write_private_file(key_directory(key.name) / (version.version + ".pem"),
                     as_bytes(made.to_pem(unlock_secret())));
  key.versions.push_back(version);
  save_key(key);
  return description(key, version);
}

KeyVersion LocalKeyStore::newest_or_create(std::string_view any_case) {
  const std::string name = require_name(any_case);
  if (!find_key(name)) {
    const FileLock lock(options_.directory / "lock");
    if (!find_key(name)) {
      make_private_directory(key_directory(name));
      return add_version({.name = name, .versions = {}, .deletion = {}}, {});
    }
  }
  return newest(name);
}

KeyVersion LocalKeyStore::create_key(std::string_view any_case, const KeyParameters& parameters) {
  const std::string name = require_name(any_case);
  const FileLock lock(options_.directory / "lock");
  if (find_key(name)) {
    throw Error(ErrorKind::kKey, "key-exists", "the key store already has a key '" + name + "'",
                "Choose another name, make a new version, or recover the deleted key.");
  }
  make_private_directory(key_directory(name));
  return add_version({.name = name, .versions = {}, .deletion = {}}, parameters);
}

KeyVersion LocalKeyStore::new_version(std::string_view name, const KeyParameters& parameters) {
  const FileLock lock(options_.directory / "lock");
  return add_version(load_key(name), parameters);
}

KeyVersion LocalKeyStore::change_version(std::string_view kid,
                                         const std::function<void(VersionRecord&)>& change) {
  const LocalKeyUri uri = parse_versioned_uri(kid, id());
  const FileLock lock(options_.directory / "lock");
  KeyRecord key = load_key(uri.name);
  VersionRecord& version = version_of(key, uri);
  change(version);
  version.updated = options_.clock();
  save_key(key);
  return description(key, version);
}

KeyVersion LocalKeyStore::set_enabled(std::string_view kid, bool enabled) {
  return change_version(kid, [&](VersionRecord& version) { version.enabled = enabled; });
}

KeyVersion LocalKeyStore::set_validity(std::string_view kid, std::optional<UnixSeconds> not_before,
                                       std::optional<UnixSeconds> expires) {
  return change_version(kid, [&](VersionRecord& version) {
    version.not_before = not_before;
    version.expires = expires;
  });
}

void LocalKeyStore::delete_key(std::string_view name) {
  const FileLock lock(options_.directory / "lock");
  KeyRecord key = load_key(name);
  const UnixSeconds now = options_.clock();
  key.deletion = {now, now + store_->retention_days * kSecondsPerDay};
  save_key(key);
}

void LocalKeyStore::recover_key(std::string_view name) {
  const FileLock lock(options_.directory / "lock");
  KeyRecord key = load_key(name, true);
  key.deletion.reset();
  save_key(key);
}

std::vector<KeyVersion> LocalKeyStore::list() {
  std::vector<std::string> names;
  const fs::path keys = options_.directory / "keys";
  if (check_private_directory(keys)) {
    for (const auto& entry : fs::directory_iterator(keys)) {
      const std::string name = entry.path().filename().string();
      if (canonical_key_name(name) == name) names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  std::vector<KeyVersion> versions;
  for (const std::string& name : names) {
    const auto key = find_key(name);
    if (!key || key->deletion) continue;
    for (const VersionRecord& version : key->versions) {
      versions.push_back(description(*key, version));
    }
  }
  return versions;
}

}  // namespace driveprep::keywrap

#include "keywrap/local_key_store.h"

#include <algorithm>
#include <cerrno>

#include "base/encoding.h"
#include "base/error.h"
#include "base/file_time.h"
#include "base/guid.h"
#include "base/posix.h"
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
constexpr UnixSeconds kSecondsPerDay = 86'400;
constexpr int kShortestRetentionDays = 7;  // the span that vaults allow
constexpr int kLongestRetentionDays = 90;

[[noreturn]] void corrupt(const fs::path& file, const std::string& why) {
  throw Error(ErrorKind::kKey, "key-store-corrupt", file.string() + " cannot be used: " + why,
              "Restore the key store from its backup.");
}

std::string time_text(UnixSeconds seconds) {
  return FileTime::from_timespec({.tv_sec = seconds, .tv_nsec = 0}).iso8601();
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

// The remedies of the conditions speak of vaults.
[[noreturn]] void fail_locally(const KeyError& error, const LocalKeyUri& uri) {
  throw KeyError(error.condition(), error.what(), error.evidence(),
                 local_remedy(error.condition(), uri.to_string()));
}

void require_size(unsigned bits) {
  if (bits == 2048 || bits == 3072 || bits == 4096) return;
  throw Error(ErrorKind::kKey, "key-size-unsupported",
              "an RSA key of " + std::to_string(bits) + " bits is not supported",
              "Use 2048, 3072 or 4096 bits.");
}

UnlockRecord make_unlock_secret(const fs::path& directory, const StoreSettings& settings) {
  if (!settings.passphrase.empty()) {
    check_passphrase(settings.passphrase);
    return {.passphrase = true, .file = {}, .check = check_of_passphrase(settings.passphrase)};
  }
  fs::path named = settings.unlock_file;
  if (!named.empty()) named = fs::absolute(named).lexically_normal();
  const fs::path file = named.empty() ? directory / "unlock" : named;
  // One left by a run that died before store.json is as good as a new one, and may be shared with
  // another store.
  auto secret = read_unlock_file(file);
  if (!secret) {
    write_private_file(file, new_unlock_text().span());
    secret = read_unlock_file(file);
  }
  require(secret.has_value(), "the unlock file vanished after it was written");
  return {.passphrase = false, .file = named, .check = check_of_file(*secret)};
}

// False when there is a store already. store.json comes last: a store that exists has everything it
// needs.
bool make_store(const fs::path& directory, const StoreSettings& settings) {
  require(settings.retention_days >= kShortestRetentionDays &&
              settings.retention_days <= kLongestRetentionDays,
          "the retention of a key store is 7 to 90 days");
  make_private_directory(directory);
  const FileLock lock(directory / "lock");
  if (read_private_file(directory / "store.json", kMaxRecordBytes)) return false;
  make_private_directory(directory / "keys");
  if (!fs::is_empty(directory / "keys")) {
    corrupt(directory / "store.json", "it is missing although the store has keys");
  }
  StoreRecord record;
  record.id = Guid::random().lower();
  record.retention_days = settings.retention_days;
  record.purge_protection = settings.purge_protection;
  record.unlock = make_unlock_secret(directory, settings);
  write_private_file(directory / "store.json", as_bytes(record.to_json()));
  return true;
}

}  // namespace

std::string local_remedy(Condition condition, std::string_view kid) {
  const auto uri = LocalKeyUri::parse(kid);
  if (!uri) return {};
  switch (condition) {
    case Condition::kKeyDisabled:
      return "Enable it: driveprep keystore enable " + uri->name + "/" + uri->version;
    case Condition::kKeyExpired:
      return "Make a new version: driveprep keystore new-version " + uri->name;
    case Condition::kKeyNotYetActive:
      return "Wait until then, or make a new version: driveprep keystore new-version " + uri->name;
    default: return {};
  }
}

LocalKeyStore::LocalKeyStore(Options options) : options_(std::move(options)) {}

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
  store->unlock_ =
      std::make_unique<UnlockSecret>(directory, store->store_->unlock, store->options_.unlock);
  return store;
}

std::unique_ptr<LocalKeyStore> LocalKeyStore::create(Options options,
                                                     const StoreSettings& settings) {
  if (!make_store(options.directory, settings)) {
    throw Error(ErrorKind::kKey, "key-store-exists",
                options.directory.string() + " holds a key store already",
                "Use that one, or name another directory.");
  }
  return open(std::move(options));
}

std::unique_ptr<LocalKeyStore> LocalKeyStore::open_or_create(Options options) {
  make_store(options.directory, {});
  return open(std::move(options));
}

const std::string& LocalKeyStore::id() const { return store_->id; }
int LocalKeyStore::retention_days() const { return store_->retention_days; }
bool LocalKeyStore::purge_protection() const { return store_->purge_protection; }

std::optional<fs::path> LocalKeyStore::unlock_file() const {
  if (store_->unlock.passphrase) return std::nullopt;
  return store_->unlock.file.empty() ? options_.directory / "unlock" : store_->unlock.file;
}

void LocalKeyStore::unlock() {
  if (unlock_->is_passphrase()) (void)unlock_->get();
}

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
                       time_text(key->deletion->scheduled_purge),
                   {}, "Recover it: driveprep keystore recover " + key->name + ".");
  }
  return std::move(*key);
}

KeyRecord LocalKeyStore::load_deleted(std::string_view name) const {
  KeyRecord key = load_key(name, true);
  if (key.deletion) return key;
  throw Error(ErrorKind::kKey, "key-not-deleted", "the key '" + key.name + "' is not deleted",
              "Look at the keys there are: driveprep keystore list --deleted.");
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

std::shared_ptr<const RsaKey> LocalKeyStore::private_key(const KeyRecord& key,
                                                         const VersionRecord& version) {
  const std::lock_guard guard(mutex_);
  if (const auto known = keys_.find(version.version); known != keys_.end()) return known->second;
  const fs::path file = key_directory(key.name) / (version.version + ".pem");
  const auto pem = read_private_file(file, kMaxPemBytes);
  if (!pem) corrupt(file, "it is missing");
  auto loaded =
      std::make_shared<const RsaKey>(RsaKey::from_pem(*pem, unlock_->get(), file.string()));
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
  try {
    require_can_wrap(description(key, version), options_.clock());
  } catch (const KeyError& error) {
    fail_locally(error, uri);
  }
  return private_key(key, version)->encrypt(secret);
}

Unwrapped LocalKeyStore::do_unwrap(std::string_view kid, ByteView wrapped,
                                   WrapAlgorithm algorithm) {
  const LocalKeyUri uri = parse_versioned_uri(kid, id());
  KeyRecord key = load_key(uri.name);
  const VersionRecord& version = version_of(key, uri);
  std::string warning;
  try {
    warning = require_can_unwrap(description(key, version), options_.clock());
  } catch (const KeyError& error) {
    fail_locally(error, uri);
  }
  return {private_key(key, version)->decrypt(wrapped, algorithm), std::move(warning)};
}

KeyVersion LocalKeyStore::add_version(KeyRecord key, const KeyParameters& parameters) {
  require_size(parameters.bits);
  const SecretBytes unlock = unlock_->get();
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
                     as_bytes(made.to_pem(unlock)));
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

Deletion LocalKeyStore::delete_key(std::string_view name) {
  const FileLock lock(options_.directory / "lock");
  KeyRecord key = load_key(name);
  const UnixSeconds now = options_.clock();
  key.deletion = {now, now + store_->retention_days * kSecondsPerDay};
  save_key(key);
  return *key.deletion;
}

void LocalKeyStore::recover_key(std::string_view name) {
  const FileLock lock(options_.directory / "lock");
  KeyRecord key = load_deleted(name);
  key.deletion.reset();
  save_key(key);
}

LocalKey LocalKeyStore::require_purgeable(std::string_view name) const {
  const KeyRecord key = load_deleted(name);
  if (store_->purge_protection && options_.clock() < key.deletion->scheduled_purge) {
    throw Error(ErrorKind::kKey, "key-purge-refused",
                "the key '" + key.name + "' is kept until " +
                    time_text(key.deletion->scheduled_purge) +
                    ": purge protection of this key store is on",
                "Wait until then; nothing switches purge protection off.");
  }
  return listed(key);
}

void LocalKeyStore::purge_key(std::string_view name) {
  const FileLock lock(options_.directory / "lock");
  const LocalKey key = require_purgeable(name);
  const fs::path directory = key_directory(key.name);
  // key.json first: what a crash leaves is no key to anybody.
  std::error_code failed;
  fs::remove(directory / "key.json", failed);
  if (!failed) {
    posix::fsync_directory(directory, ErrorKind::kKey);
    fs::remove_all(directory, failed);
  }
  if (failed) {
    throw Error::from_errno(ErrorKind::kKey, "write-failed", "remove " + directory.string(),
                            failed.value(), "Check the permissions of the key store.");
  }
  posix::fsync_directory(directory.parent_path(), ErrorKind::kKey);
}

LocalKey LocalKeyStore::listed(const KeyRecord& record) const {
  LocalKey key{record.name, {}, record.deletion};
  for (const VersionRecord& version : record.versions) {
    key.versions.push_back(description(record, version));
  }
  return key;
}

LocalKey LocalKeyStore::key(std::string_view name) const { return listed(load_key(name, true)); }

std::vector<LocalKey> LocalKeyStore::keys() const {
  std::vector<std::string> names;
  const fs::path directory = options_.directory / "keys";
  if (check_private_directory(directory)) {
    for (const auto& entry : fs::directory_iterator(directory)) {
      const std::string name = entry.path().filename().string();
      if (canonical_key_name(name) == name) names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  std::vector<LocalKey> keys;
  for (const std::string& name : names) {
    if (const auto record = find_key(name)) keys.push_back(listed(*record));
  }
  return keys;
}

}  // namespace driveprep::keywrap

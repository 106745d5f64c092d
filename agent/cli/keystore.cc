#include <algorithm>
#include <filesystem>

#include "agent/cli/keystore_commands.h"
#include "agent/cli/output.h"
#include "agent/cli/stop_signals.h"
#include "agent/cli/terminal_answer.h"
#include "agent/cli/unlock_sources.h"
#include "agent/cli/utc_time.h"
#include "agent/job/job_spec.h"
#include "base/human_text.h"
#include "keywrap/key_uri.h"
#include "keywrap/local_key_store.h"

namespace driveprep::cli {
namespace {

using keywrap::KeyVersion;
using keywrap::LocalKey;
using keywrap::LocalKeyStore;
using nlohmann::ordered_json;

std::filesystem::path directory_of(const KeystoreOptions& options) {
  if (options.store.empty()) return job::default_key_store();
  return std::filesystem::absolute(options.store).lexically_normal();
}

LocalKeyStore::Options store_options(const KeystoreOptions& options) {
  LocalKeyStore::Options result;
  result.directory = directory_of(options);
  result.unlock = unlock_sources();
  return result;
}

// The store of a command with its results on the way out.
class Session {
 public:
  explicit Session(const KeystoreOptions& options)
      : directory_(directory_of(options)), json_(options.json), store_(open(options)) {}
  Session(const KeystoreOptions& options, std::unique_ptr<LocalKeyStore> store)
      : directory_(directory_of(options)), json_(options.json), store_(std::move(store)) {}

  LocalKeyStore& store() { return *store_; }
  const std::filesystem::path& directory() const { return directory_; }
  bool json() const { return json_; }

  ordered_json head() const {
    return {{"schema", 1}, {"store", directory_.string()}, {"store_id", store_->id()}};
  }

  // `facts` as JSON or `text` for people.
  int finish(const ordered_json& facts, const std::string& text) const {
    if (json_) {
      ordered_json document = head();
      document.update(facts);
      print_json(document);
    } else {
      print(text);
    }
    return 0;
  }

 private:
  static std::unique_ptr<LocalKeyStore> open(const KeystoreOptions& options) {
    try {
      return LocalKeyStore::open(store_options(options));
    } catch (const Error& error) {
      if (error.code() != "key-store-missing") throw;
      throw Error(error.kind(), error.code(), error.what(),
                  "Check the path, or make a key store: driveprep keystore init.");
    }
  }

  std::filesystem::path directory_;
  bool json_;
  std::unique_ptr<LocalKeyStore> store_;
};

// --- what is shown

std::string state_of(const KeyVersion& version, bool deleted) {
  const keywrap::UnixSeconds now = keywrap::system_clock_seconds();
  if (deleted) return "deleted";
  if (!version.enabled) return "disabled";
  if (version.expires && now >= *version.expires) return "expired";
  if (version.not_before && now < *version.not_before) return "not yet active";
  return "enabled";
}

ordered_json time_json(const std::optional<keywrap::UnixSeconds>& time) {
  return time ? ordered_json(utc_text(*time)) : ordered_json(nullptr);
}

keywrap::LocalKeyUri uri_of(const KeyVersion& version) {
  const auto uri = keywrap::LocalKeyUri::parse(version.kid);
  require(uri.has_value(), "the store gave a key an identifier that is none");
  return *uri;
}

ordered_json version_json(const KeyVersion& version, bool deleted) {
  return {{"kid", version.kid},
          {"version", uri_of(version).version},
          {"state", state_of(version, deleted)},
          {"key_type", version.key_type},
          {"bits", version.bits},
          {"enabled", version.enabled},
          {"not_before", time_json(version.not_before)},
          {"expires", time_json(version.expires)},
          {"created", utc_text(version.created)},
          {"updated", utc_text(version.updated)},
          {"recovery_level", version.recovery_level},
          {"recoverable_days", version.recoverable_days.value_or(0)}};
}

ordered_json key_json(const LocalKey& key) {
  ordered_json versions = ordered_json::array();
  for (const KeyVersion& version : key.versions) {
    versions.push_back(version_json(version, key.deletion.has_value()));
  }
  ordered_json deletion = nullptr;
  if (key.deletion) {
    deletion = {{"deleted", utc_text(key.deletion->deleted)},
                {"scheduled_purge", utc_text(key.deletion->scheduled_purge)}};
  }
  return {{"name", key.name}, {"deletion", deletion}, {"versions", versions}};
}

// The key with the one version that a command is about.
ordered_json one_version_json(const KeyVersion& version) {
  return {{"key", {{"name", uri_of(version).name}, {"version", version_json(version, false)}}}};
}

std::string note_of(const LocalKey& key, const KeyVersion& version) {
  if (key.deletion) return "kept until " + utc_text(key.deletion->scheduled_purge);
  std::string note;
  if (version.not_before) note += "from " + utc_text(*version.not_before);
  if (version.expires) {
    note += (note.empty() ? "until " : " until ") + utc_text(*version.expires);
  }
  return note;
}

std::string named(const KeyVersion& version) {
  const keywrap::LocalKeyUri uri = uri_of(version);
  return "version " + uri.version + " of the key " + uri.name;
}

// --- what is asked for

keywrap::KeyParameters parameters_of(const KeystoreNewOptions& options) {
  keywrap::KeyParameters parameters;
  parameters.bits = options.bits;
  if (!options.not_before.empty()) {
    parameters.not_before = parse_utc_time(options.not_before, "--not-before");
  }
  if (!options.expires.empty()) {
    parameters.expires = parse_utc_time(options.expires, "--expires");
  }
  const bool never_valid =
      parameters.not_before && parameters.expires && *parameters.expires <= *parameters.not_before;
  if (never_valid) {
    throw Error(ErrorKind::kUsage, "key-never-valid",
                "the key would expire before it becomes active",
                "Give --expires a later time than --not-before.");
  }
  return parameters;
}

KeyVersion version_named(LocalKeyStore& store, const std::string& key) {
  if (key.find("://") != std::string::npos) return store.describe(key);
  if (key.find('/') == std::string::npos) return store.newest(key);
  return store.describe("keystore://" + store.id() + "/keys/" + key);
}

void require_consent(const KeystoreNameOptions& options, const LocalKey& key) {
  std::optional<std::string> answer;
  if (!options.confirm.empty()) {
    answer = options.confirm;
  } else if (can_ask()) {
    const CleanStop clean_stop;
    note("The key " + key.name + " and its " + counted(key.versions.size(), "version") +
         " will be removed for good. What is wrapped under it\n"
         "can then be opened by nobody. Type its name to agree:");
    answer = read_answer();
  }
  if (answer && keywrap::canonical_key_name(*answer) == key.name) return;
  if (answer) {
    throw Error(
        ErrorKind::kNotConfirmed, "purge-wrong-confirmation",
        "what was confirmed is \"" + printable_line(*answer) + "\", not the key " + key.name,
        "Look again which key is meant: driveprep keystore list --deleted.");
  }
  throw Error(ErrorKind::kNotConfirmed, "purge-not-confirmed",
              "purging the key " + key.name + " makes what it wrapped unreadable for ever",
              "If that is meant, run the command again with --confirm " + key.name + ".");
}

}  // namespace

int run_keystore_init(const KeystoreInitOptions& options) {
  keywrap::StoreSettings settings;
  settings.retention_days = options.retention_days;
  settings.purge_protection = !options.no_purge_protection;
  settings.unlock_file = options.unlock_file;
  if (options.passphrase || !options.passphrase_file.empty()) {
    settings.passphrase = new_passphrase(options.passphrase_file);
  }
  Session session(options, LocalKeyStore::create(store_options(options), settings));
  const auto file = session.store().unlock_file();
  const std::string shown_file = file ? file->string() : "";
  return session.finish(
      {{"retention_days", settings.retention_days},
       {"purge_protection", settings.purge_protection},
       {"unlock", file ? "file" : "passphrase"},
       {"unlock_file", file ? ordered_json(shown_file) : ordered_json(nullptr)}},
      "Made the key store " + printable(session.directory().string()) + ".\n" +
          (file ? "Its private keys are opened by " + printable(shown_file) +
                      ": whoever can read both has the keys."
                : std::string("Its private keys are opened by the passphrase. It is kept nowhere: "
                              "if it is forgotten,\nthe keys and what they wrapped are lost.")) +
          "\nNext: name the store in /encryption/keyStore of job.json, unless it is the default "
          "one");
}

int run_keystore_create(const KeystoreNewOptions& options) {
  const keywrap::KeyParameters parameters = parameters_of(options);
  Session session(options);
  const KeyVersion made = session.store().create_key(options.name, parameters);
  return session.finish(
      one_version_json(made),
      "Made " + named(made) + " (RSA, " + std::to_string(made.bits) + " bits):\n  " + made.kid);
}

int run_keystore_new_version(const KeystoreNewOptions& options) {
  const keywrap::KeyParameters parameters = parameters_of(options);
  Session session(options);
  const KeyVersion made = session.store().new_version(options.name, parameters);
  return session.finish(one_version_json(made),
                        "Made " + named(made) + " (RSA, " + std::to_string(made.bits) +
                            " bits):\n  " + made.kid +
                            "\nNew envelopes are made under it; older versions open theirs.");
}

int run_keystore_list(const KeystoreListOptions& options) {
  Session session(options);
  std::vector<LocalKey> keys;
  std::string none = "The key store " + printable(session.directory().string()) + " has no keys";
  if (options.name.empty()) {
    keys = session.store().keys();
    if (!options.deleted && std::erase_if(keys, [](const LocalKey& k) { return k.deletion; }) > 0) {
      none += " but deleted ones (--deleted)";
    }
  } else {
    keys.push_back(session.store().key(options.name));
  }
  ordered_json list = ordered_json::array();
  std::vector<std::vector<std::string>> rows = {
      {"KEY", "VERSION", "STATE", "BITS", "CREATED", "NOTE"}};
  for (const LocalKey& key : keys) {
    list.push_back(key_json(key));
    for (const KeyVersion& version : key.versions) {
      rows.push_back({key.name, uri_of(version).version,
                      state_of(version, key.deletion.has_value()), std::to_string(version.bits),
                      utc_text(version.created), note_of(key, version)});
    }
  }
  return session.finish({{"retention_days", session.store().retention_days()},
                         {"purge_protection", session.store().purge_protection()},
                         {"keys", list}},
                        keys.empty() ? none + "." : table(rows));
}

int run_keystore_enable(const KeystoreVersionOptions& options, bool enabled) {
  Session session(options);
  LocalKeyStore& store = session.store();
  const KeyVersion version = store.set_enabled(version_named(store, options.key).kid, enabled);
  return session.finish(one_version_json(version),
                        enabled
                            ? "Enabled " + named(version) + "."
                            : "Disabled " + named(version) +
                                  ".\nEnvelopes under it do not open until it is enabled again.");
}

int run_keystore_expire(const KeystoreVersionOptions& options) {
  std::optional<keywrap::UnixSeconds> time;
  if (!options.never) {
    time =
        options.at.empty() ? keywrap::system_clock_seconds() : parse_utc_time(options.at, "--at");
  }
  Session session(options);
  LocalKeyStore& store = session.store();
  const KeyVersion before = version_named(store, options.key);
  const KeyVersion version = store.set_validity(before.kid, before.not_before, time);
  std::string text = named(version);
  text[0] = 'V';
  text += time ? " expires at " + utc_text(*time) +
                     ".\nWhat it wrapped still opens; from then on nothing is made under it."
               : " does not expire.";
  return session.finish(one_version_json(version), text);
}

int run_keystore_delete(const KeystoreNameOptions& options) {
  Session session(options);
  const keywrap::Deletion deletion = session.store().delete_key(options.name);
  const LocalKey key = session.store().key(options.name);
  return session.finish({{"key", key_json(key)}},
                        "Deleted the key " + key.name + ". It is kept until " +
                            utc_text(deletion.scheduled_purge) +
                            " at least; meanwhile no envelope\nunder it opens. To bring it back: "
                            "driveprep keystore recover " +
                            key.name);
}

int run_keystore_recover(const KeystoreNameOptions& options) {
  Session session(options);
  session.store().recover_key(options.name);
  const LocalKey key = session.store().key(options.name);
  return session.finish({{"key", key_json(key)}},
                        "Recovered the key " + key.name + ": envelopes under it open again.");
}

int run_keystore_purge(const KeystoreNameOptions& options) {
  Session session(options);
  const LocalKey key = session.store().require_purgeable(options.name);
  require_consent(options, key);
  session.store().purge_key(key.name);
  return session.finish({{"purged", key.name}}, "The key " + key.name + " is gone for good.");
}

}  // namespace driveprep::cli

// driveprep keystore ...: the keys that driveprep manages itself.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace driveprep::cli {

struct KeystoreOptions {
  std::string store;  // its directory; empty: the default one
  bool json = false;
};

struct KeystoreInitOptions : KeystoreOptions {
  int retention_days = 90;
  bool no_purge_protection = false;
  std::string unlock_file;
  bool passphrase = false;      // asked for on the terminal
  std::string passphrase_file;  // "-": standard input
};

struct KeystoreListOptions : KeystoreOptions {
  std::string name;      // empty: every key
  bool deleted = false;  // deleted ones, too
};

// Of a new key or version. Times as the user wrote them.
struct KeystoreNewOptions : KeystoreOptions {
  std::string name;
  unsigned bits = 3072;
  std::string not_before;
  std::string expires;
};

// A version: NAME (the newest), NAME/VERSION, or a whole keystore:// identifier.
struct KeystoreVersionOptions : KeystoreOptions {
  std::string key;
  std::string at;  // expire
  bool never = false;
};

struct KeystoreNameOptions : KeystoreOptions {
  std::string name;
  std::string confirm;  // purge
};

int run_keystore_init(const KeystoreInitOptions& options);
int run_keystore_create(const KeystoreNewOptions& options);
int run_keystore_list(const KeystoreListOptions& options);
int run_keystore_new_version(const KeystoreNewOptions& options);
int run_keystore_enable(const KeystoreVersionOptions& options, bool enabled);
int run_keystore_expire(const KeystoreVersionOptions& options);
int run_keystore_delete(const KeystoreNameOptions& options);
int run_keystore_recover(const KeystoreNameOptions& options);
int run_keystore_purge(const KeystoreNameOptions& options);

// Adds the commands to the parser; the one that was named is put into `command`.
void add_keystore_commands(CLI::App& app, std::function<int()>& command);

}  // namespace driveprep::cli

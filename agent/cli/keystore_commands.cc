#include "agent/cli/keystore_commands.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

namespace driveprep::cli {
namespace {

struct Described {
  const char* name;
  const char* does;
  const char* writes;
  const char* example;
};

constexpr const char* kWritesKey = "in DIRECTORY: keys/NAME/key.json";
constexpr const char* kWritesPair =
    "in DIRECTORY: keys/NAME/ with the private key (encrypted) and key.json";

// A command with what all of them share.
CLI::App* add_command(CLI::App& parent, KeystoreOptions& options, const Described& described,
                      std::function<int()>& chosen, std::function<int()> command) {
  CLI::App* app = parent.add_subcommand(described.name, described.does);
  app->add_option("--store", options.store,
                  "The key store; without it the one of jobs that\nname none")
      ->type_name("DIRECTORY")
      ->check(CLI::Validator(
          [](const std::string& path) {
            return path.empty() ? std::string("the path of the key store is empty") : std::string();
          },
          ""));
  app->add_flag("--json", options.json, "Result as one JSON document on standard output");
  app->footer(std::string("Writes:\n  ") + described.writes + "\n\nExample:\n  " +
              described.example);
  app->callback([&chosen, command = std::move(command)] { chosen = command; });
  return app;
}

struct KeystoreCommands {
  KeystoreInitOptions init;
  KeystoreNewOptions create;
  KeystoreListOptions list;
  KeystoreNewOptions new_version;
  KeystoreVersionOptions disable;
  KeystoreVersionOptions enable;
  KeystoreVersionOptions expire;
  KeystoreNameOptions remove;
  KeystoreNameOptions recover;
  KeystoreNameOptions purge;
};

void add_init(CLI::App& app, const std::shared_ptr<KeystoreCommands>& c,
              std::function<int()>& chosen) {
  KeystoreInitOptions& options = c->init;
  CLI::App* init =
      add_command(app, options,
                  {"init", "Make a key store; prepare makes one by itself, with the\ndefaults",
                   "DIRECTORY, and in it store.json and the unlock secret",
                   "driveprep keystore init --store /safe/keys --unlock-file /media/stick/unlock"},
                  chosen, [c] { return run_keystore_init(c->init); });
  init->add_option("--retention-days", options.retention_days,
                   "How long a deleted key can be recovered: 7 to 90\n(default 90)")
      ->type_name("DAYS")
      ->check(CLI::Range(7, 90));
  init->add_flag("--no-purge-protection", options.no_purge_protection,
                 "Deleted keys may be purged before that time is over");
  CLI::Option* file = init->add_option("--unlock-file", options.unlock_file,
                                       "Where the secret that opens the private keys lies;\n"
                                       "made if missing (default: in the store)")
                          ->type_name("FILE");
  CLI::Option* asked = init->add_flag("--passphrase", options.passphrase,
                                      "A passphrase instead of that file, asked for here and\n"
                                      "whenever a key is needed");
  CLI::Option* given = init->add_option("--passphrase-file", options.passphrase_file,
                                        "The same, read from a file now; - is standard input")
                           ->type_name("FILE");
  file->excludes(asked)->excludes(given);
  asked->excludes(given);
}

void add_new_key_options(CLI::App& app, KeystoreNewOptions& options) {
  app.add_option("NAME", options.name, "The name of the key")->required()->type_name("");
  app.add_option("--size", options.bits, "2048, 3072 or 4096 bits (default 3072)")
      ->type_name("BITS")
      ->check(CLI::IsMember({2048u, 3072u, 4096u}));
  app.add_option("--not-before", options.not_before,
                 "It wraps nothing before: 2026-12-31T00:00:00Z (UTC),\nor a date, which is its "
                 "first second")
      ->type_name("TIME");
  app.add_option("--expires", options.expires,
                 "It wraps nothing from then on; what it wrapped still\nopens")
      ->type_name("TIME");
}

void add_keys(CLI::App& app, const std::shared_ptr<KeystoreCommands>& c,
              std::function<int()>& chosen) {
  add_new_key_options(*add_command(app, c->create,
                                   {"create", "Make a key", kWritesPair,
                                    "driveprep keystore create archive --expires 2027-12-31"},
                                   chosen, [c] { return run_keystore_create(c->create); }),
                      c->create);
  CLI::App* list = add_command(app, c->list,
                               {"list", "List the keys and their versions, with their states",
                                "nothing", "driveprep keystore list --deleted --json"},
                               chosen, [c] { return run_keystore_list(c->list); });
  list->add_option("NAME", c->list.name, "This key only")->type_name("");
  list->add_flag("--deleted", c->list.deleted, "Deleted keys, too");
  add_new_key_options(
      *add_command(app, c->new_version,
                   {"new-version",
                    "Make a new version of a key: from now on envelopes are\n"
                    "made under it; older versions open theirs",
                    kWritesPair, "driveprep keystore new-version driveprep"},
                   chosen, [c] { return run_keystore_new_version(c->new_version); }),
      c->new_version);
}

void add_version_argument(CLI::App& app, KeystoreVersionOptions& options) {
  app.add_option("KEY", options.key,
                 "NAME (its newest version), NAME/VERSION, or the\nwhole identifier keystore://...")
      ->required()
      ->type_name("");
}

void add_states(CLI::App& app, const std::shared_ptr<KeystoreCommands>& c,
                std::function<int()>& chosen) {
  add_version_argument(
      *add_command(app, c->disable,
                   {"disable", "Nothing is opened or made under a version any more", kWritesKey,
                    "driveprep keystore disable archive/0123456789abcdef0123456789abcdef"},
                   chosen, [c] { return run_keystore_enable(c->disable, false); }),
      c->disable);
  add_version_argument(*add_command(app, c->enable,
                                    {"enable", "The contrary of disable", kWritesKey,
                                     "driveprep keystore enable archive"},
                                    chosen, [c] { return run_keystore_enable(c->enable, true); }),
                       c->enable);
  CLI::App* expire =
      add_command(app, c->expire,
                  {"expire",
                   "Nothing is made under a version any more; what it\n"
                   "wrapped still opens",
                   kWritesKey, "driveprep keystore expire archive --at 2026-12-31T12:00:00Z"},
                  chosen, [c] { return run_keystore_expire(c->expire); });
  add_version_argument(*expire, c->expire);
  CLI::Option* at =
      expire
          ->add_option("--at", c->expire.at,
                       "From when on: 2026-12-31T00:00:00Z (UTC), or a date\n(default: now)")
          ->type_name("TIME");
  expire->add_flag("--never", c->expire.never, "It does not expire")->excludes(at);
}

void add_deleting(CLI::App& app, const std::shared_ptr<KeystoreCommands>& c,
                  std::function<int()>& chosen) {
  const auto add_name = [](CLI::App& command, KeystoreNameOptions& options) {
    command.add_option("NAME", options.name, "The name of the key")->required()->type_name("");
  };
  add_name(*add_command(app, c->remove,
                        {"delete",
                         "Delete a key with all its versions: no envelope under\n"
                         "it opens until it is recovered",
                         kWritesKey, "driveprep keystore delete archive"},
                        chosen, [c] { return run_keystore_delete(c->remove); }),
           c->remove);
  add_name(*add_command(app, c->recover,
                        {"recover", "Bring a deleted key back", kWritesKey,
                         "driveprep keystore recover archive"},
                        chosen, [c] { return run_keystore_recover(c->recover); }),
           c->recover);
  CLI::App* purge =
      add_command(app, c->purge,
                  {"purge",
                   "Remove a deleted key for good: nothing under it can be\n"
                   "opened ever after",
                   "in DIRECTORY: removes keys/NAME, without overwriting it on the disk",
                   "driveprep keystore purge archive --confirm archive"},
                  chosen, [c] { return run_keystore_purge(c->purge); });
  add_name(*purge, c->purge);
  purge->add_option("--confirm", c->purge.confirm, "Agree to that: the name of the key once more")
      ->type_name("NAME");
}

}  // namespace

void add_keystore_commands(CLI::App& app, std::function<int()>& command) {
  const auto commands = std::make_shared<KeystoreCommands>();
  CLI::App* keystore =
      app.add_subcommand("keystore", "The keys that driveprep manages itself, and their states");
  keystore->require_subcommand(1);
  keystore->footer("Example:\n  driveprep keystore list");
  add_init(*keystore, commands, command);
  add_keys(*keystore, commands, command);
  add_states(*keystore, commands, command);
  add_deleting(*keystore, commands, command);
}

}  // namespace driveprep::cli

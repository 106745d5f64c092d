#include "agent/cli/key_commands.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "keywrap/condition.h"

namespace driveprep::cli {
namespace {

constexpr const char* kJson = "Result as one JSON document on standard output";

struct Described {
  const char* name;
  const char* does;
  const char* writes;
  const char* example;
};

struct KeyCommands {
  KeyCheckOptions check;
  KeySetOptions set;
  CommonOptions status;
  KeyUseOptions rewrap;
  KeyShowOptions show;
  KeyAuditOptions audit;
  KeyExplainOptions explain;
  WrapSecretOptions wrap;
  UnwrapSecretOptions unwrap;
};

CLI::App* add_command(CLI::App& parent, CommonOptions& options, const Described& described,
                      std::function<int()>& chosen, std::function<int()> command) {
  CLI::App* app = parent.add_subcommand(described.name, described.does);
  app->add_option("JOB", options.job, "The job directory")
      ->required()
      ->type_name("")
      ->check(CLI::Validator(
          [](const std::string& path) {
            return path.empty() ? std::string("the path of the job directory is empty")
                                : std::string();
          },
          ""));
  app->add_flag("--json", options.json, kJson);
  app->footer(std::string("Writes:\n  ") + described.writes + "\n\nExample:\n  " +
              described.example);
  app->callback([&chosen, command = std::move(command)] { chosen = command; });
  return app;
}

// "10m" -> "600"; the sentence that is wrong with the text, or nothing.
std::string to_seconds(std::string& text) {
  constexpr unsigned long kLongest = 24 * 3600;
  unsigned long factor = 1;
  std::string digits = text;
  if (!digits.empty() && std::string_view("smh").find(digits.back()) != std::string_view::npos) {
    factor = digits.back() == 'h' ? 3600 : digits.back() == 'm' ? 60 : 1;
    digits.pop_back();
  }
  const bool number = !digits.empty() && digits.size() <= 5 &&
                      digits.find_first_not_of("0123456789") == std::string::npos;
  if (!number || std::stoul(digits) * factor > kLongest) {
    return "\"" + text + "\" is no time: write 30s, 10m or 2h, a day at most";
  }
  text = std::to_string(std::stoul(digits) * factor);
  return {};
}

void add_wait(CLI::App& app, KeyUseOptions& options) {
  app.add_option("--wait-for-access", options.wait_for_access,
                 "Ask again for so long while access is denied: a\n"
                 "grant takes a while to get around (30s, 10m)")
      ->transform(CLI::Validator(to_seconds, ""))
      ->type_name("TIME");
}

void add_opening(CLI::App& app, OpeningOptions& options) {
  app.add_flag("--allow-rsa-oaep", options.allow_rsa_oaep,
               "Also what another tool has wrapped with RSA-OAEP (SHA-1)");
}

void add_profile(CLI::App& app, std::string& profile) {
  std::vector<std::string> names;
  for (const keywrap::Profile known : keywrap::kProfiles) {
    names.emplace_back(keywrap::to_string(known));
  }
  app.add_option("--profile", profile,
                 "Whose rules: import-export, data-box, storage or\n"
                 "backup-vault; that of job.json when left out")
      ->check(CLI::IsMember(names))
      ->type_name("NAME");
}

void add_checking(CLI::App& app, const std::shared_ptr<KeyCommands>& c,
                  std::function<int()>& chosen) {
  CLI::App* check = add_command(
      app, c->check,
      {"check",
       "Say whether the job's key is fit for it: every finding,\n"
       "and a trial of wrapping and unwrapping",
       "nothing; exit status 0: fit, 12: not fit", "driveprep key check archive-2026 --json"},
      chosen, [c] { return run_key_check(c->check); });
  check->add_option("--key-url", c->check.key_url, "Another key than the job's")->type_name("URL");
  add_profile(*check, c->check.profile);
  add_wait(*check, c->check);

  CLI::App* explain =
      app.add_subcommand("explain", "Tell the cause and the remedy of an error code");
  explain->add_option("CODE", c->explain.code, "For example CmkErrorAccessRevoked")
      ->required()
      ->type_name("");
  explain->add_flag("--json", c->explain.json, kJson);
  explain->footer("Writes:\n  nothing\n\nExample:\n  driveprep key explain CmkErrorKeyDisabled");
  explain->callback([c, &chosen] { chosen = [c] { return run_key_explain(c->explain); }; });
}

void add_changing(CLI::App& app, const std::shared_ptr<KeyCommands>& c,
                  std::function<int()>& chosen) {
  CLI::App* set = add_command(app, c->set,
                              {"set",
                               "From now on another key: the wrapped keys are wrapped\n"
                               "again, the drives stay as they are",
                               "in JOB: key-state.json, journal.db, the wrapped keys",
                               "driveprep key set archive-2026\n"
                               "      --key-url https://contoso.vault.azure.net/keys/import"},
                              chosen, [c] { return run_key_set(c->set); });
  CLI::Option* url = set->add_option("--key-url", c->set.key_url,
                                     "The key, with its version (pinned) or without\n"
                                     "(the newest is followed); else that of job.json")
                         ->type_name("URL");
  set->add_option("--identity", c->set.identity,
                  "Under which the service reaches the key: system, or\n"
                  "the resource id of a user-assigned identity")
      ->type_name("ID");
  set->add_flag("--local", c->set.local,
                "Back to the key of this machine, where the rules of\nthe service allow it")
      ->excludes(url);
  set->add_flag("--allow-region-mismatch", c->set.allow_region_mismatch,
                "Take a vault in another region than the storage\naccount's; recorded in the job");
  add_wait(*set, c->set);

  CLI::App* rewrap = add_command(
      app, c->rewrap,
      {"rewrap",
       "After a rotation: bring all wrapped keys under the newest\n"
       "version; or finish an interrupted change",
       "in JOB: key-state.json, journal.db, the wrapped keys", "driveprep key rewrap archive-2026"},
      chosen, [c] { return run_key_rewrap(c->rewrap); });
  add_wait(*rewrap, c->rewrap);
}

void add_looking(CLI::App& app, const std::shared_ptr<KeyCommands>& c,
                 std::function<int()>& chosen) {
  add_command(app, c->status,
              {"status",
               "Show mode, key, versions, changes, and what each wrapped\n"
               "key is under; asks no vault",
               "nothing", "driveprep key status archive-2026"},
              chosen, [c] { return run_key_status(c->status); });
  CLI::App* show = add_command(app, c->show,
                               {"show", "Print the recovery password of a drive",
                                "in JOB: journal.db, the fact that it was shown",
                                "driveprep key show archive-2026 --drive DISK0"},
                               chosen, [c] { return run_key_show(c->show); });
  show->add_option("--drive", c->show.drive, "The drive's id")->type_name("ID")->required();
  add_opening(*show, c->show);
  CLI::App* audit = add_command(app, c->audit,
                                {"audit",
                                 "Print who wrapped, opened, showed and re-wrapped what\n"
                                 "under which key, and check that nothing was changed",
                                 "nothing; exit status 7: the record was changed or cut off",
                                 "driveprep key audit archive-2026"},
                                chosen, [c] { return run_key_audit(c->audit); });
  audit
      ->add_option("--head", c->audit.head,
                   "What an audit has told as the head of the chain\n"
                   "before: it has to be in it still")
      ->type_name("HASH");
}

void add_secrets(CLI::App& app, const std::shared_ptr<KeyCommands>& c,
                 std::function<int()>& chosen) {
  CLI::App* wrap = add_command(app, c->wrap,
                               {"wrap-secret",
                                "Protect another short secret with the job's key, such as\n"
                                "the device unlock key of a Data Box",
                                "in JOB: secrets/NAME.jwe.json, journal.db",
                                "driveprep key wrap-secret archive-2026 --name box-unlock\n"
                                "      --purpose device-unlock-key < unlock.txt"},
                               chosen, [c] { return run_wrap_secret(c->wrap); });
  wrap->footer(
      "The secret is what is read, byte for byte, a final line end included: 1 byte to\n"
      "16 KiB. A device unlock key is one line of text; its line end is left out.\n\n" +
      wrap->get_footer());
  wrap->add_option("--name", c->wrap.name, "What it is called in the job")
      ->type_name("NAME")
      ->required();
  wrap->add_option("--purpose", c->wrap.purpose, "secret (default) or device-unlock-key")
      ->check(CLI::IsMember({"secret", "device-unlock-key"}))
      ->type_name("WORD");
  wrap->add_option("--fd", c->wrap.descriptor,
                   "Read it from this file descriptor instead of\nstandard input")
      ->type_name("N");
  wrap->add_flag("--replace", c->wrap.replace, "Over one that has the name already");
  CLI::App* unwrap = add_command(app, c->unwrap,
                                 {"unwrap-secret", "Print a secret that wrap-secret has protected",
                                  "in JOB: journal.db, the fact that it was shown",
                                  "driveprep key unwrap-secret archive-2026 --name box-unlock"},
                                 chosen, [c] { return run_unwrap_secret(c->unwrap); });
  unwrap->add_option("--name", c->unwrap.name, "What it is called in the job")
      ->type_name("NAME")
      ->required();
  add_opening(*unwrap, c->unwrap);
  unwrap->footer(
      "Its bytes are written as they were given; on a terminal a line end follows. With\n"
      "--json text is in \"value\", anything else in \"value_base64\".\n\n" +
      unwrap->get_footer());
}

}  // namespace

void add_key_commands(CLI::App& app, std::function<int()>& command) {
  CLI::App* key = app.add_subcommand("key", "The key that protects a job, and what is under it");
  key->require_subcommand(1);
  key->footer("Example:\n  driveprep key check archive-2026");
  const auto commands = std::make_shared<KeyCommands>();
  add_checking(*key, commands, command);
  add_changing(*key, commands, command);
  add_looking(*key, commands, command);
  add_secrets(*key, commands, command);
}

}  // namespace driveprep::cli

#include "agent/cli/parser.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <iostream>
#include <string_view>

#include "agent/cli/commands.h"
#include "agent/cli/job_session.h"
#include "agent/cli/key_commands.h"
#include "agent/cli/keystore_commands.h"
#include "agent/cli/output.h"
#include "agent/cli/report_command.h"
#include "agent/cli/test_command.h"
#include "agent/cli/volume_commands.h"
#include "agent/plan/build_plan.h"
#include "base/nearest_word.h"

namespace driveprep::cli {
namespace {

struct Parsed {
  PlanOptions plan;
  PrepareOptions prepare;
  VerifyOptions verify;
  RequestOptions request;
  DrivesOptions drives;
  WipeOptions wipe;
  CommonOptions init;
  CommonOptions status;
  std::function<int()> command;
};

constexpr const char* kJson = "Result as one JSON document on standard output";
constexpr const char* kJsonWithProgress =
    "Result as one JSON document on standard output;\n"
    "progress as one JSON object a line on standard error";

struct Described {
  const char* name;
  const char* does;
  const char* writes;
  const char* example;
  const char* json = kJson;
};

// A subcommand with what all of them share: the job directory, --json, what it writes, an example.
CLI::App* add_command(CLI::App& parent, Parsed& parsed, CommonOptions& options,
                      const Described& described, std::function<int()> command) {
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
  app->add_flag("--json", options.json, described.json);
  app->footer(std::string("Writes:\n  ") + described.writes + "\n\nExample:\n  " +
              described.example);
  app->callback([&parsed, command = std::move(command)] { parsed.command = command; });
  return app;
}

void add_accept(CLI::App& app, std::vector<std::string>& accept) {
  app.add_option("--accept", accept,
                 "Accept one reason against one drive, as driveprep\ndrives --explain names it "
                 "(repeatable)")
      ->type_name("REASON:ID")
      ->allow_extra_args(false);
}

// Of the machine, not of a job.
void add_drives(CLI::App& app, Parsed& p) {
  CLI::App* drives = app.add_subcommand(
      "drives", "Show the drives of this machine, and why each may or may\nnot be used");
  drives->add_flag("--all", p.drives.all,
                   "Also loop devices, mappings, optical drives: what is\nno drive for a job");
  drives
      ->add_option("--explain", p.drives.explain,
                   "Everything that is known about one: its serial number,\nname or path")
      ->type_name("SERIAL");
  drives->add_flag("--json", p.drives.json, kJson);
  drives->footer(
      "Writes:\n  nothing; as root it asks the drives themselves for serial number and health\n\n"
      "Example:\n  sudo driveprep drives --explain WD-WX51A1234567");
  drives->callback([&p] { p.command = [&p] { return run_drives(p.drives); }; });
}

void add_wipe(CLI::App& app, Parsed& p) {
  CLI::App* wipe = app.add_subcommand(
      "wipe", "Make a drive unreadable for good: keys first, then the\nrest; with a signed record");
  wipe->add_option("SERIAL", p.wipe.disk, "The disk: its serial number, name or path")
      ->required()
      ->type_name("");
  wipe->add_option("--method", p.wipe.method,
                   "overwrite (zeros over everything), discard, or metadata\n(keys and tables "
                   "only); default: what suits the disk")
      ->type_name("METHOD");
  wipe->add_option("--record", p.wipe.record,
                   "Where the signed record goes; default: a new file\nwipe-SERIAL-TIME.json here")
      ->type_name("FILE");
  wipe->add_option("--confirm", p.wipe.confirm, "Agree, by the disk's serial number")
      ->type_name("SERIAL")
      ->allow_extra_args(false);
  add_accept(*wipe, p.wipe.accept);
  wipe->add_flag("--json", p.wipe.json, kJsonWithProgress);
  wipe->footer(
      "Writes:\n  the whole disk; the record; on first use the key that signs records\n  "
      "($XDG_STATE_HOME/driveprep/record-key.pem)\n\n"
      "Example:\n  sudo driveprep wipe WD-WX51A1234567");
  wipe->callback([&p] { p.command = [&p] { return run_wipe(p.wipe); }; });
}

void add_prepare(CLI::App& app, Parsed& p) {
  CLI::App* prepare =
      add_command(app, p, p.prepare,
                  {"prepare",
                   "Write the drives: partition, encrypt, format, copy,\n"
                   "verify; continues what was interrupted",
                   "the disks and image files that driveset.csv names;\n"
                   "  in JOB: plan.db, journal.db, logs/, and drives/ID/ with the manifest,\n"
                   "  DriveInfo.xml, the wrapped key and what was erased;\n"
                   "  the key store (/encryption/keyStore of job.json), made on first use",
                   "driveprep prepare archive-2026 --confirm DISK0", kJsonWithProgress},
                  [&p] { return run_prepare(p.prepare); });
  prepare
      ->add_option("--confirm", p.prepare.confirm,
                   "Agree that what is on the drive with this id is\ndestroyed (repeatable)")
      ->type_name("ID")
      ->allow_extra_args(false);
  prepare
      ->add_option(
          "--plan", p.prepare.plan_digest,
          "Go on only if the plan has this digest, as printed\nby driveprep plan; agrees to its "
          "disks as they were then")
      ->type_name("DIGEST");
  add_accept(*prepare, p.prepare.accept);
}

void add_commands(CLI::App& app, Parsed& p) {
  add_command(app, p, p.init,
              {"init", "Make a new job directory with commented samples",
               "JOB, and in it job.json, dataset.csv, driveset.csv and data/readme.txt;\n"
               "  files that are there already stay as they are",
               "driveprep init archive-2026"},
              [&p] { return run_init(p.init); });
  CLI::App* plan = add_command(app, p, p.plan,
                               {"plan", "Check everything and show which file goes to which drive",
                                "nothing", "driveprep plan archive-2026 --all"},
                               [&p] { return run_plan(p.plan); });
  plan->add_flag("--all", p.plan.all, "List every file, not only the first of each drive");
  add_accept(*plan, p.plan.accept);
  add_prepare(app, p);
  add_command(app, p, p.verify,
              {"verify",
               "Read finished drives back with their recovery passwords\n"
               "and compare every block",
               "in JOB: journal.db, the result; the drives are only read",
               "driveprep verify archive-2026 --drive DISK0", kJsonWithProgress},
              [&p] { return run_verify(p.verify); })
      ->add_option("--drive", p.verify.drives, "Only this drive (repeatable)")
      ->type_name("ID")
      ->allow_extra_args(false);
  add_command(app, p, p.status,
              {"status", "Show the state of each drive and what to do next", "nothing",
               "driveprep status archive-2026 --json"},
              [&p] { return run_status(p.status); });
  add_command(app, p, p.request,
              {"request", "Write the bodies that create the import job",
               "in JOB/requests: databox.json (Data Box), importexport.json (classic service);\n"
               "  with a key in a vault also importexport-cmk.json",
               "driveprep request archive-2026"},
              [&p] { return run_request(p.request); })
      ->add_flag("--reveal-keys", p.request.reveal_keys,
                 "Put the recovery passwords in (mode 0600, recorded\nin the journal)");
  add_drives(app, p);
  add_wipe(app, p);
  add_test_command(app, p.command);
  add_report_command(app, p.command);
  add_key_commands(app, p.command);
  add_keystore_commands(app, p.command);
  add_volume_commands(app, p.command);
}

using Arguments = std::vector<std::string>;

std::string help_of(const CLI::App& app) {
  std::string name = app.get_name();
  for (const CLI::App* at = app.get_parent(); at != nullptr; at = at->get_parent()) {
    name = at->get_name() + " " + name;
  }
  return name + " --help";
}

std::string did_you_mean(const std::optional<std::string>& word) {
  return word ? "Did you mean \"" + *word + "\"? " : std::string();
}

Error unknown_command(const CLI::App& app, const std::string& word) {
  Arguments names;
  std::string listed;
  for (const CLI::App* command : app.get_subcommands({})) {
    names.push_back(command->get_name());
    listed += (listed.empty() ? "" : ", ") + command->get_name();
  }
  return Error(ErrorKind::kUsage, "command-unknown",
               "there is no command \"" + word + "\"; the commands are " + listed,
               did_you_mean(nearest_word(word, names)) + help_of(app) + " tells what they do.");
}

Error unknown_option(const CLI::App& app, const std::string& word) {
  Arguments names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return Error(ErrorKind::kUsage, "option-unknown", "there is no option " + word + " here",
               did_you_mean(nearest_word(word, names)) + help_of(app) + " lists the options.");
}

// The command that the arguments name. Throws for words and options that it does not know: the
// parser would only say that something is missing or too many.
const CLI::App& named_command(const CLI::App& root, const Arguments& arguments) {
  const CLI::App* app = &root;
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (argument.starts_with("-") && argument != "-") {  // "-" is standard input
      const std::string name = argument.substr(0, argument.find('='));
      if (app->get_option_no_throw(name) == nullptr) throw unknown_option(*app, name);
      continue;
    }
    const std::vector<const CLI::App*> commands = app->get_subcommands({});
    if (commands.empty()) continue;
    const auto command = std::ranges::find(commands, argument, &CLI::App::get_name);
    if (command == commands.end()) throw unknown_command(*app, argument);
    app = *command;
  }
  return *app;
}

// With our code and remedy: what CLI11 says of a required or surplus argument is a sentence
// already.
Error arguments_error(const CLI::App& app, const CLI::ParseError& error) {
  std::string what = error.what();
  if (what.starts_with("A subcommand is required")) what = "a command is missing";
  const std::string where = app.get_parent() != nullptr ? app.get_name() + ": " : "";
  return Error(ErrorKind::kUsage, "arguments", where + what,
               help_of(app) + " tells what belongs here.");
}

int fail(const Error& error, bool json) {
  if (json) {
    nlohmann::ordered_json document = {{"schema", 1}, {"error", error_json(error)}};
    if (const auto* refused = dynamic_cast<const plan::PlanRefused*>(&error)) {
      nlohmann::ordered_json problems = nlohmann::ordered_json::array();
      for (const plan::Finding& problem : refused->problems()) {
        problems.push_back(
            {{"code", problem.code}, {"subject", problem.subject}, {"detail", problem.detail}});
      }
      document["problems"] = std::move(problems);
      document["problem_count"] = refused->total();
    }
    print_json(document);
  }
  print_error(error);
  return static_cast<int>(error.kind());
}

// Returns 0 after --help or --version, -1 when there is a command to run.
int parse(CLI::App& app, int argc, char** argv) {
  const CLI::App& command = named_command(app, Arguments(argv + 1, argv + argc));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error, std::cout, std::cerr);
    throw arguments_error(command, error);
  }
  return -1;
}

}  // namespace

int run(int argc, char** argv) {
  CLI::App app(
      "Prepares drives for Azure Import/Export: BitLocker volumes with your data,\n"
      "verified, with wrapped keys and ready job requests.",
      "driveprep");
  app.get_formatter()->column_width(22);
  app.set_version_flag("--version", program_name());
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help on every command");
  app.footer(
      "A job, from start to end:\n"
      "  driveprep init JOB        then edit the three files in it\n"
      "  driveprep plan JOB        every check, nothing written\n"
      "  driveprep prepare JOB     writes and verifies the drives; repeated, continues\n"
      "  driveprep request JOB     the bodies that create the import job\n"
      "\n"
      "Exit status: 0 done, 2 usage, 3 refused, 4 not confirmed, 5 busy, 6 write error,\n"
      "7 verification, 8 sources failed, 10 some drives failed, 11 journal, 12 key;\n"
      "docs/exit-codes.md tells more.");
  Parsed parsed;
  add_commands(app, parsed);
  // Wherever it stands: a script that asks for JSON gets it for a misspelt command, too.
  const bool json = std::find(argv + 1, argv + argc, std::string_view("--json")) != argv + argc;
  try {
    if (argc == 1) std::cerr << app.help() << '\n';
    const int ended = parse(app, argc, argv);
    if (ended >= 0) return ended;
    const int status = parsed.command();
    flush_output();
    return status;
  } catch (const Error& error) {
    return fail(error, json);
  } catch (const std::exception& error) {
    return fail(Error(ErrorKind::kInternal, "internal", error.what(),
                      "This is a bug in driveprep: please report it with the log of this run."),
                json);
  }
}

}  // namespace driveprep::cli

#include "agent/cli/parser.h"

#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>

#include "agent/cli/commands.h"
#include "agent/cli/job_session.h"
#include "agent/cli/output.h"
#include "agent/plan/build_plan.h"

namespace driveprep::cli {
namespace {

constexpr int kUsageStatus = static_cast<int>(ErrorKind::kUsage);

struct Parsed {
  PlanOptions plan;
  PrepareOptions prepare;
  VerifyOptions verify;
  RequestOptions request;
  KeyShowOptions key_show;
  CommonOptions init;
  CommonOptions status;
  std::function<int()> command;
  const CommonOptions* common = nullptr;
};

// A subcommand with what all of them share: the job directory, --json, and an example.
CLI::App* add_command(CLI::App& parent, Parsed& parsed, CommonOptions& options,
                      const std::string& name, const std::string& description,
                      const std::string& example, std::function<int()> command) {
  CLI::App* app = parent.add_subcommand(name, description);
  app->add_option("JOB", options.job, "The job directory")->required();
  app->add_flag("--json", options.json,
                "Results as one JSON document; progress as one JSON object a line on stderr");
  app->footer("Example:\n  " + example);
  app->callback([&parsed, &options, command = std::move(command)] {
    parsed.common = &options;
    parsed.command = command;
  });
  return app;
}

void add_commands(CLI::App& app, Parsed& p) {
  add_command(app, p, p.init, "init", "Make a new job directory with commented samples",
              "driveprep init archive-2026", [&p] { return run_init(p.init); });

  add_command(app, p, p.plan, "plan",
              "Check everything and show which file goes to which drive; writes nothing",
              "driveprep plan archive-2026 --all", [&p] { return run_plan(p.plan); })
      ->add_flag("--all", p.plan.all, "List every file, not only the first of each drive");

  CLI::App* prepare = add_command(
      app, p, p.prepare, "prepare",
      "Write the drives: partition, encrypt, format, copy, verify. Continues what was interrupted",
      "driveprep prepare archive-2026 --confirm DISK0",
      [&p] { return run_prepare(p.prepare); });
  prepare->add_option("--confirm", p.prepare.confirm,
                      "Agree that what is on the drive with this id is destroyed (repeatable)")
      ->type_name("ID");
  prepare->add_option("--plan", p.prepare.plan_digest,
                      "Go on only if the plan has this digest, as printed by driveprep plan")
      ->type_name("DIGEST");

  add_command(app, p, p.verify, "verify",
              "Read the drives back with their recovery passwords and compare every block",
              "driveprep verify archive-2026 --drive DISK0", [&p] { return run_verify(p.verify); })
      ->add_option("--drive", p.verify.drives, "Only this drive (repeatable)")
      ->type_name("ID");

  add_command(app, p, p.status, "status", "What the journal knows of each drive",
              "driveprep status archive-2026 --json", [&p] { return run_status(p.status); });

  add_command(app, p, p.request, "request",
              "Write the bodies that create the import job (Data Box and classic)",
              "driveprep request archive-2026", [&p] { return run_request(p.request); })
      ->add_flag("--reveal-keys", p.request.reveal_keys,
                 "Put the recovery passwords in (mode 0600, recorded in the journal)");

  CLI::App* key = app.add_subcommand("key", "The wrapped keys of a job");
  key->require_subcommand(1);
  key->footer("Example:\n  driveprep key show archive-2026 --drive DISK0");
  add_command(*key, p, p.key_show, "show",
              "Print the recovery password of a drive; recorded in the journal",
              "driveprep key show archive-2026 --drive DISK0",
              [&p] { return run_key_show(p.key_show); })
      ->add_option("--drive", p.key_show.drive, "The drive's id")
      ->type_name("ID")
      ->required();
}

int fail(const Error& error, const CommonOptions* options) {
  if (options != nullptr && options->json) {
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

}  // namespace

int run(int argc, char** argv) {
  CLI::App app("Prepares drives for Azure Import/Export: BitLocker volumes with your data, "
               "verified, with wrapped keys and ready job requests.",
               "driveprep");
  app.set_version_flag("--version", program_name());
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help on every command");
  app.footer(
      "A job, from start to end:\n"
      "  driveprep init JOB        then edit job.json, dataset.csv and driveset.csv in it\n"
      "  driveprep plan JOB        every check, nothing written\n"
      "  driveprep prepare JOB     writes and verifies the drives; repeat it to continue\n"
      "  driveprep request JOB     the bodies that create the import job\n"
      "Exit status: 0 done, 2 usage, 3 refused, 4 not confirmed, 8 sources failed; docs/exit-codes.md");
  Parsed parsed;
  add_commands(app, parsed);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error, std::cout, std::cerr);
    return status == 0 ? 0 : kUsageStatus;
  }
  try {
    return parsed.command();
  } catch (const Error& error) {
    return fail(error, parsed.common);
  } catch (const std::exception& error) {
    return fail(Error(ErrorKind::kInternal, "internal", error.what(),
                      "This is a bug in driveprep: please report it with the log of this run."),
                parsed.common);
  }
}

}  // namespace driveprep::cli

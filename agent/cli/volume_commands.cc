#include "agent/cli/volume_commands.h"

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

// Where the key comes from.
void add_key_options(CLI::App& app, VolumeKeyOptions& key) {
  const auto add = [&app](const char* name, std::string& value, const char* type,
                          const char* help) {
    app.add_option(name, value, help)->type_name(type)->group("Key, one of these, or the terminal");
  };
  add("--recovery-password-file", key.recovery_password_file, "FILE",
      "Holds the recovery password; - is standard input");
  add("--password-file", key.password_file, "FILE", "Holds the password; - is standard input");
  add("--bek-file", key.bek_file, "FILE", "The external key; - is standard input");
  add("--job", key.job, "JOB", "With --drive: the wrapped key of a drive of\nthis job");
  add("--drive", key.drive, "ID", "The drive's id in the job");
}

// The job whose key seals a backup, and the drive that it belongs to.
void add_sealing_options(CLI::App& app, VolumeKeyOptions& key) {
  app.add_option("--job", key.job, "The job whose key seals the backup")
      ->type_name("JOB")
      ->required();
  app.add_option("--drive", key.drive, "The id of the drive that the backup is of")
      ->type_name("ID")
      ->required();
}

// A command with what all of them share.
CLI::App* add_command(CLI::App& parent, VolumeOptions& options, const Described& described,
                      std::function<int()>& chosen, std::function<int()> command) {
  CLI::App* app = parent.add_subcommand(described.name, described.does);
  app->add_option("TARGET", options.target, "A block device, a partition, or an image file")
      ->required()
      ->type_name("");
  app->add_option("--partition", options.partition,
                  "Its number in the partition table of TARGET;\n"
                  "without it the first BitLocker volume there is")
      ->type_name("N");
  app->add_flag("--search", options.search,
                "Look for the metadata of a volume without header\n"
                "everywhere, not only where it is likely to be");
  app->add_flag("--json", options.json, "Result as one JSON document on standard output");
  app->footer(std::string("Writes:\n  ") + described.writes + "\n\nExample:\n  " +
              described.example);
  app->callback([&chosen, command = std::move(command)] { chosen = command; });
  return app;
}

void add_override(CLI::App& app, VolumeOptions& options) {
  app.add_flag("--accept-wrong-integrity", options.accept_wrong_integrity,
               "Read although the metadata was changed by\n"
               "somebody who did not hold its key");
}

struct VolumeCommands {
  VolumeOptions info;
  VolumeOptions unlock;
  bool check = false;
  VolumeLsOptions ls;
  VolumeCatOptions cat;
  ExtractOptions extract;
  VolumeExportOptions exporting;
  CreateOptions create;
  ProtectorOptions add;
  ProtectorOptions remove;
  ProtectorOptions change;
  BackupOptions backup;
  RestoreOptions restore;
};

void add_reading(CLI::App& app, const std::shared_ptr<VolumeCommands>& c,
                 std::function<int()>& chosen) {
  CLI::App* info = add_command(app, c->info,
                               {"info",
                                "Tell what is there: state, cipher, protectors, health of\n"
                                "the metadata; needs no key, and tells more with one",
                                "nothing", "driveprep volume info disk0.img --json"},
                               chosen, [c] { return run_volume_info(c->info); });
  add_key_options(*info, c->info.key);
  CLI::App* unlock =
      add_command(app, c->unlock,
                  {"unlock", "Say whether a key opens the volume, and by which protector",
                   "nothing; exit status 0: it opens, 12: this key does not open it",
                   "driveprep volume unlock --check disk0.img --bek-file KEY.BEK"},
                  chosen, [c] { return run_volume_unlock(c->unlock); });
  add_key_options(*unlock, c->unlock.key);
  unlock->add_flag("--check", c->check, "Only say it; nothing is mounted or mapped")->required();
  add_override(*unlock, c->unlock);
  CLI::App* exporting =
      add_command(app, c->exporting,
                  {"export", "Write the decrypted volume as a raw image, or as a stream",
                   "the file that --output names: a new one, sparse",
                   "driveprep volume export /dev/sdb --output plain.img --job archive-2026\n"
                   "      --drive DISK0"},
                  chosen, [c] { return run_volume_export(c->exporting); });
  add_key_options(*exporting, c->exporting.key);
  exporting->add_option("--output", c->exporting.output, "A new file; - is standard output")
      ->type_name("FILE")
      ->required();
  add_override(*exporting, c->exporting);
}

void add_files(CLI::App& app, const std::shared_ptr<VolumeCommands>& c,
               std::function<int()>& chosen) {
  CLI::App* ls = add_command(app, c->ls,
                             {"ls", "List the files of the NTFS inside", "nothing",
                              "driveprep volume ls disk0.img archive -R --job archive-2026\n"
                              "      --drive DISK0"},
                             chosen, [c] { return run_volume_ls(c->ls); });
  ls->add_option("PATH", c->ls.path, "On the volume, '/' or '\\' between names")->type_name("");
  ls->add_flag("-R,--recursive", c->ls.recursive, "All that is below, too");
  ls->add_flag("--all", c->ls.metafiles, "The files of the file system itself, too");
  add_override(*ls, c->ls);
  add_key_options(*ls, c->ls.key);

  CLI::App* cat = add_command(
      app, c->cat,
      {"cat", "Write the content of one file", "standard output, or the new file of --output",
       "driveprep volume cat disk0.img DriveManifest.xml --bek-file KEY.BEK"},
      chosen, [c] { return run_volume_cat(c->cat); });
  cat->add_option("PATH", c->cat.path, "On the volume")->required()->type_name("");
  cat->add_option("--output", c->cat.output, "A new file; - is standard output")->type_name("FILE");
  add_override(*cat, c->cat);
  add_key_options(*cat, c->cat.key);

  CLI::App* extract =
      add_command(app, c->extract,
                  {"extract",
                   "Copy files and directories out, with their times, and\n"
                   "compare them with the drive manifest if there is one",
                   "files and directories below the directory of --output",
                   "driveprep volume extract disk0.img --output /srv/back --job archive-2026\n"
                   "      --drive DISK0"},
                  chosen, [c] { return run_volume_extract(c->extract); });
  extract->add_option("PATH", c->extract.path, "On the volume; without it everything")
      ->type_name("");
  extract->add_option("--output", c->extract.output, "A directory; made if missing")
      ->type_name("DIR")
      ->required();
  extract->add_flag("--overwrite", c->extract.overwrite, "Replace files that are there");
  extract->add_flag("--no-verify", c->extract.no_verify, "Do not compare with the manifest");
  add_override(*extract, c->extract);
  add_key_options(*extract, c->extract.key);
}

void add_output(CLI::App& app, std::string& output, std::string& new_password_file) {
  app.add_option("--output", output,
                 "Where the new recovery password or key file goes:\n"
                 "a new file, or a directory for <ID>.txt and <ID>.BEK")
      ->type_name("PATH");
  app.add_option("--new-password-file", new_password_file,
                 "Holds the new password; - is standard input;\n"
                 "without it the terminal is asked")
      ->type_name("FILE");
}

void add_giving_up(CLI::App& app, ProtectorOptions& options) {
  app.add_flag("--give-up-envelope", options.give_up_envelope,
               "Also the key that --job and --drive open the\n"
               "volume with: the job cannot open it any more");
}

void add_creating(CLI::App& app, const std::shared_ptr<VolumeCommands>& c,
                  std::function<int()>& chosen) {
  CreateOptions& options = c->create;
  CLI::App* create =
      add_command(app, options,
                  {"create", "Make a new volume, with an empty NTFS in it",
                   "what it makes, over all that TARGET or the partition holds; the volume\n"
                   "  header last, so that an unfinished one is taken for none",
                   "truncate -s 64G disk.img\n"
                   "  driveprep volume create disk.img --cipher xts-aes-128 --label ARCHIVE\n"
                   "      --protector recovery-password --protector external-key --output /safe"},
                  chosen, [c] { return run_volume_create(c->create); });
  create->remove_option(create->get_option("--search"));
  create->get_option("--partition")
      ->description(
          "Its number in the partition table of TARGET;\n"
          "without it TARGET itself becomes the volume");
  create
      ->add_option("--cipher", options.cipher,
                   "xts-aes-128, xts-aes-256, aes-cbc-128 or aes-cbc-256\n(default xts-aes-256)")
      ->type_name("NAME");
  create
      ->add_option("--protector", options.protectors,
                   "recovery-password, password or external-key; may be\n"
                   "given more than once (default recovery-password)")
      ->type_name("KIND")
      ->allow_extra_args(false);
  create->add_option("--label", options.label, "Of the file system; up to 32 ASCII characters")
      ->type_name("TEXT");
  create
      ->add_option("--cluster-size", options.cluster_size,
                   "4096 to 65536; without it as Windows would choose")
      ->type_name("BYTES");
  create
      ->add_option("--sector-size", options.sector_size,
                   "Of an image: 512 or 4096 (default 512); a device\nknows its own")
      ->type_name("BYTES");
  create
      ->add_option("--description", options.description,
                   "What Windows shows when it asks for the key\n"
                   "(default: computer, label, date)")
      ->type_name("TEXT");
  create
      ->add_option("--confirm", options.confirm,
                   "Agree to destroy what is there: the digits that\nthis command shows without it")
      ->type_name("DIGITS");
  add_output(*create, options.output, options.new_password_file);
}

constexpr const char* kWritesMetadata =
    "the metadata of the volume, one copy after the other: at every moment one\n"
    "  of them is whole";

void add_protectors(CLI::App& volume, const std::shared_ptr<VolumeCommands>& c,
                    std::function<int()>& chosen) {
  CLI::App* app = volume.add_subcommand("protectors", "Change the keys of a volume");
  app->require_subcommand(1);
  app->footer("Example:\n  driveprep volume protectors add disk0.img external-key --output /safe");
  CLI::App* add =
      add_command(*app, c->add,
                  {"add", "Add a recovery password, a password or an external key", kWritesMetadata,
                   "driveprep volume protectors add disk0.img external-key --output /safe\n"
                   "      --job archive-2026 --drive DISK0"},
                  chosen, [c] { return run_protectors_add(c->add); });
  add_key_options(*add, c->add.key);
  add->add_option("KIND", c->add.kind, "recovery-password, password or external-key")
      ->required()
      ->type_name("");
  add_output(*add, c->add.output, c->add.new_password_file);
  CLI::App* remove =
      add_command(*app, c->remove,
                  {"remove", "Take a protector away; at least one key stays", kWritesMetadata,
                   "driveprep volume protectors remove disk0.img 5f3c2a10 --bek-file KEY.BEK"},
                  chosen, [c] { return run_protectors_remove(c->remove); });
  add_key_options(*remove, c->remove.key);
  remove->add_option("ID", c->remove.id, "The protector's id, or its first 8 digits")
      ->required()
      ->type_name("");
  add_giving_up(*remove, c->remove);
  CLI::App* change = add_command(
      *app, c->change,
      {"change", "Put a new key in the place of an old one of the same kind", kWritesMetadata,
       "driveprep volume protectors change disk0.img 5f3c2a10 --output new-key.txt\n"
       "      --recovery-password-file old-key.txt"},
      chosen, [c] { return run_protectors_change(c->change); });
  add_key_options(*change, c->change.key);
  change->add_option("ID", c->change.id, "The protector's id, or its first 8 digits")
      ->required()
      ->type_name("");
  add_output(*change, c->change.output, c->change.new_password_file);
  add_giving_up(*change, c->change);
}

void add_backup(CLI::App& app, const std::shared_ptr<VolumeCommands>& c,
                std::function<int()>& chosen) {
  CLI::App* backup =
      add_command(app, c->backup,
                  {"backup-metadata",
                   "Keep what brings the volume back when its header and\n"
                   "metadata are destroyed, sealed under the key of a job",
                   "JOB/drives/ID/volume-metadata.jwe.json, or the file of --output",
                   "driveprep volume backup-metadata disk0.img --job archive-2026 --drive DISK0"},
                  chosen, [c] { return run_backup_metadata(c->backup); });
  add_sealing_options(*backup, c->backup.key);
  backup->add_option("--output", c->backup.output, "A new file")->type_name("FILE");
  CLI::App* restore =
      add_command(app, c->restore,
                  {"restore-metadata", "Write header and metadata back from a backup",
                   "the header, the three copies of the metadata, and the relocated first\n"
                   "  bytes of the file system",
                   "driveprep volume restore-metadata disk0.img --job archive-2026 --drive DISK0\n"
                   "      --confirm 5f3c2a10"},
                  chosen, [c] { return run_restore_metadata(c->restore); });
  add_sealing_options(*restore, c->restore.key);
  restore->add_option("--input", c->restore.input, "The backup")->type_name("FILE");
  restore
      ->add_option("--confirm", c->restore.confirm,
                   "Agree that this is the place: the GUID of the\nvolume, or its first 8 digits")
      ->type_name("ID");
  restore->add_flag("--replace", c->restore.replace,
                    "Also over another volume, or over newer metadata");
}

}  // namespace

void add_volume_commands(CLI::App& app, std::function<int()>& command) {
  const auto commands = std::make_shared<VolumeCommands>();
  CLI::App* volume =
      app.add_subcommand("volume", "Make a BitLocker volume, look into it, change its keys");
  volume->require_subcommand(1);
  volume->footer(
      "Keys come from a file, standard input or the terminal, never from an argument.\n\n"
      "Example:\n  driveprep volume info disk0.img");
  add_reading(*volume, commands, command);
  add_files(*volume, commands, command);
  add_creating(*volume, commands, command);
  add_protectors(*volume, commands, command);
  add_backup(*volume, commands, command);
}

}  // namespace driveprep::cli

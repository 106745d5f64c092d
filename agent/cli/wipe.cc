#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <random>

#include "agent/cli/commands.h"
#include "agent/cli/disk_choice.h"
#include "agent/cli/output.h"
#include "agent/cli/shell_word.h"
#include "agent/cli/stop_signals.h"
#include "agent/cli/watched_disk.h"
#include "agent/cli/wipe_record.h"
#include "agent/erase/erase_disk.h"
#include "agent/erase/read_back.h"
#include "agent/prepare/drive_health.h"
#include "agent/record/record_key.h"
#include "agent/record/signed_record.h"
#include "agent/report/progress_display.h"
#include "agent/report/sizes.h"
#include "base/file_name.h"
#include "drive/layout/wipe.h"

namespace driveprep::cli {
namespace {

using erase::Method;

bool discards(const inventory::DiskFacts& disk) {
  return disk.largest_discard.known() && disk.largest_discard.value() > 0;
}

Method method_for(const WipeOptions& options, const inventory::DiskFacts& disk) {
  if (options.method.empty()) {
    const bool turns = !disk.rotational.known() || disk.rotational.value();
    return !turns && discards(disk) ? Method::kDiscard : Method::kOverwrite;
  }
  const std::optional<Method> method = erase::method_from(options.method);
  if (!method) {
    throw Error(ErrorKind::kUsage, "wipe-method", "there is no method \"" + options.method + "\"",
                "Use overwrite, discard or metadata.");
  }
  if (*method == Method::kDiscard && !discards(disk)) {
    throw Error(ErrorKind::kRefused, "discard-unsupported",
                disk.node.string() + " takes no discard, or its connection passes none on",
                "Use --method overwrite.");
  }
  return *method;
}

std::string what_happens(Method method) {
  constexpr std::array<const char*, 3> kHow = {
      "by overwriting the whole disk with zeros", "by telling the disk to forget everything",
      "by destroying keys, tables and headers; other data stays on the disk"};
  return std::string(
             "Everything on it will be destroyed for good: first the keys of its BitLocker "
             "volumes, then ") +
         kHow.at(static_cast<std::size_t>(method)) + ".";
}

// A drive that was prepared here, and has come back or never left.
std::optional<std::string> warning_of(const guard::DiskCase& disk) {
  if (!disk.finished_for.known() || disk.finished_for.value().empty()) return std::nullopt;
  return "it was prepared for the job " + disk.finished_for.value() +
         " on this machine: if it was not shipped yet, that work is lost";
}

std::string file_of(const WipeOptions& options, const std::string& drive_id) {
  if (!options.record.empty()) return options.record;
  std::string time = FileTime::now().iso8601();
  std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
  return "wipe-" + file_name_part(drive_id) + "-" + time + ".json";
}

std::vector<ByteRange> partitions_of(const guard::DiskCase& disk) {
  const auto& signatures = disk.disk.opened.signatures;
  return signatures.known() ? signatures.value().partitions : std::vector<ByteRange>();
}

// What is wrong with what was read back; nullopt when nothing is.
std::optional<Error> judged(const std::string& name, const WipeOutcome& outcome) {
  if (!outcome.read_back || !outcome.read_back->first_failed) return std::nullopt;
  if (outcome.read_back->first_failed == outcome.read_back->first_unreadable) {
    return Error(ErrorKind::kVerification, "wipe-incomplete",
                 name + " cannot be read at byte " +
                     std::to_string(*outcome.read_back->first_failed) +
                     ": nothing shows that what it held there is gone",
                 "Do not let this drive out of your hands: wipe it once more, or destroy it.");
  }
  return Error(ErrorKind::kVerification, "wipe-incomplete",
               name + " still holds something at byte " +
                   std::to_string(*outcome.read_back->first_failed) + " that should be gone",
               outcome.method == Method::kDiscard
                   ? "The disk has not forgotten what it was told to: wipe it with --method "
                     "overwrite."
                   : "Do not let this drive out of your hands: wipe it once more, or destroy it.");
}

// What destroying only keys leaves behind, where little was looked at or nothing found.
void add_search_warnings(WipeOutcome& outcome, std::uint64_t bytes) {
  if (outcome.method != Method::kMetadata || outcome.report.stopped) return;
  const erase::KeyPlaces& before = outcome.report.before;
  if (before.searched < bytes) {
    outcome.warnings.push_back(
        "keys were looked for in " + report::human_bytes(before.searched) + " of " +
        report::human_bytes(bytes) +
        ", where the partitions of its table have them; those of a volume that was elsewhere would "
        "still be there");
  }
  if (before.volumes.empty()) {
    outcome.warnings.emplace_back(
        "no BitLocker volume was found, so there were no keys to destroy: what else is on the disk "
        "can still be read, but for tables and headers");
  }
}

void run_steps(guard::ArmedDrive& drive, WatchedDisk& watched, WipeOutcome& outcome,
               report::DriveProgress& progress) {
  block::FileDevice& device = drive.device();
  device.write_past_errors();
  const erase::EraseRequest request{
      .disk = device,
      .partitions = partitions_of(drive.candidate().disk()),
      .method = outcome.method,
      .discard = [&](const ByteRange& range) { device.discard(range); },
      .remove_signatures =
          [&] {
            layout::wipe(device, {0, device.size()}, std::nullopt);
          },
      .before_each = [&] { watched.wait_while_hot(); },
      .progress = &progress,
      .stop = &stop_requested()};
  progress.begin(report::Phase::kErasing);
  erase::erase_disk(request, outcome.report);
  add_search_warnings(outcome, device.size());
  if (outcome.report.stopped) return;
  progress.begin(report::Phase::kVerifying);
  const auto reading = watched.open_for_reading();
  outcome.cache_bypassed = watched.cache_bypassed();
  outcome.read_back =
      erase::read_back(*reading, outcome.report.before, outcome.method, std::random_device()(),
                       outcome.report.held, {&progress, &stop_requested()});
  if (const auto wrong = judged(device.name(), outcome)) throw *wrong;
  outcome.report.stopped = outcome.read_back->stopped;
  drive.show_table_to_kernel();
}

// A wipe that is killed, or loses its power, has told of itself: from here on a record is there.
void record_beginning(record::RecordPlace& place, const guard::ArmedDrive& drive,
                      const WipeOutcome& outcome, const record::RecordKey& key) {
  const guard::DiskCase& disk = drive.candidate().disk();
  try {
    place.begin(record::sign_record(begun_wipe_record(disk, outcome), key));
  } catch (const Error& error) {
    throw Error(error.kind(), error.code(),
                std::string(error.what()) + "; nothing was written to " + disk.disk.node.string() +
                    ", which is as it was",
                error.remedy());
  }
}

// What is gone is gone, however the disk is now; but sectors that it has put away meanwhile kept
// what they held.
void add_health_warnings(WipeOutcome& outcome) {
  const std::string worse = prepare::deterioration(outcome.health_before, outcome.health_after);
  if (!worse.empty()) outcome.warnings.push_back("the drive has become worse meanwhile: " + worse);
  const std::string untold = prepare::silence(outcome.health_before, outcome.health_after);
  if (!untold.empty()) {
    outcome.warnings.push_back("the drive does not tell any more what it told before: " + untold);
  }
}

// Fills in whatever happens: the record is of what was done, not of what was meant.
void wipe_drive(guard::ArmedDrive& drive, WipeOutcome& outcome, bool json) {
  report::DriveProgress progress(drive.drive_id());
  {
    const report::ProgressDisplay display(
        {&progress}, json ? report::ProgressStyle::kJson : report::progress_style_for_stderr(),
        &stop_requested());
    WatchedDisk watched(drive, progress);
    try {
      run_steps(drive, watched, outcome, progress);
    } catch (const Error& error) {
      if (error.code() == "table-not-read") {
        outcome.warnings.push_back(
            "this machine still shows the old partitions until the disk is "
            "plugged in anew: " +
            std::string(error.what()));
      } else {
        outcome.error = error;
      }
    } catch (const std::exception& error) {  // what has been destroyed by then is recorded, too
      outcome.error =
          Error(ErrorKind::kInternal, "internal", "internal error: " + std::string(error.what()),
                "This is a bug in driveprep: please report it with this record.");
    }
    for (std::string& each : watched.warnings()) outcome.warnings.push_back(std::move(each));
    progress.begin(outcome.error            ? report::Phase::kFailed
                   : outcome.report.stopped ? report::Phase::kStopped
                                            : report::Phase::kDone);
  }
  outcome.health_after = prepare::health_after(drive);
  add_health_warnings(outcome);
  // Also when the clock was set back in between.
  std::optional<FileTime>& gone = outcome.report.keys_gone;
  if (gone) gone = std::max(*gone, outcome.started);
  outcome.ended = std::max(FileTime::now(), gone.value_or(outcome.started));
}

void print_outcome(const std::string& drive_id, const WipeOutcome& outcome, std::uint64_t hidden,
                   const std::string& file) {
  const std::size_t volumes = outcome.report.before.volumes.size();
  std::string text = drive_id + "  ";
  text += outcome.error ? "NOT WIPED"
          : outcome.report.stopped
              ? (outcome.report.contents_gone ? "stopped while it was read back: NOT PROVEN WIPED"
                                              : "stopped: NOT WIPED as a whole")
              : "wiped (" + std::string(erase::to_string(outcome.method)) + ")";
  if (!outcome.report.metadata_destroyed) {
    text += outcome.report.stopped
                ? "; the keys of its volumes were NOT all looked for and destroyed"
                : "; the keys of its volumes are NOT all destroyed";
  } else if (volumes > 0) {
    text += "; the keys of " + report::counted(volumes, "BitLocker volume") + " are destroyed";
  } else {
    text += "; no BitLocker volume that could be opened was on it";
  }
  if (outcome.read_back) {
    text += "; " + report::counted(outcome.read_back->samples, "sample") +
            " read back: " + std::to_string(outcome.read_back->zero) + " zero, " +
            std::to_string(outcome.read_back->other) + " other, " +
            std::to_string(outcome.read_back->unreadable) + " unreadable";
  }
  print(text);
  for (const std::string& each : outcome.warnings) print("Warning: " + each);
  if (hidden > 0) {
    print("NOT REACHED: the disk hides " + report::human_count(hidden) +
          " bytes at its end (HPA), and what they hold is still there. Show them "
          "(hdparm -N), then wipe it again");
  }
  if (outcome.earlier) {
    print("An earlier attempt " +
          (outcome.earlier->result == "begun" ? "never told its end"
                                              : "ended as " + outcome.earlier->result) +
          "; its record is kept as " + outcome.earlier->kept_as.string());
  }
  print("Record: " + file + " (driveprep report --check " + file + ")");
}

// What hours of work have shown is not lost for want of a place to write it: why it could not be
// written, and stands on standard output.
std::optional<Error> write_or_print(const record::RecordPlace& place,
                                    const std::string& signed_record) {
  try {
    place.finish(signed_record);
    return std::nullopt;
  } catch (const Error& error) {
    print(signed_record);
    return Error(
        error.kind(), error.code(),
        std::string(error.what()) + "; the signed record stands on standard output instead",
        "Keep these lines as a file: driveprep report --check reads it. What is at that "
        "path says at most that the wipe was begun.");
  }
}

// A worn disk has the more reason to be wiped. That a drive was prepared here is shown by the
// question; who answers it beforehand has to know it, too.
std::vector<std::string> waived(const WipeOptions& options) {
  std::vector<std::string> reasons = {"disk-bad-sectors"};
  if (options.confirm.empty()) reasons.emplace_back("disk-already-prepared");
  return reasons;
}

// What finishes a wipe that did not come to its end. A disk that does not forget is overwritten.
// `drive`: a name that is this disk's after the next plugging in, too.
std::string once_more(const std::string& drive, const WipeOptions& options,
                      const WipeOutcome& outcome, const std::string& file) {
  const bool forgets_nothing =
      outcome.method == Method::kDiscard && outcome.error &&
      (outcome.error->code() == "discard-failed" || outcome.error->code() == "wipe-incomplete");
  const Method method = forgets_nothing ? Method::kOverwrite : outcome.method;
  std::string command = std::getenv("SUDO_UID") != nullptr ? "sudo " : "";
  command += "driveprep wipe " + shell_word(drive) + " --method " +
             std::string(erase::to_string(method)) + " --record " + shell_word(file);
  for (const std::string& each : options.accept) command += " --accept " + shell_word(each);
  return command;
}

}  // namespace

int run_wipe(const WipeOptions& options) {
  DiskChoice choice(options, waived(options), true);
  const guard::DiskCase& disk = choice.candidate().disk();
  const std::optional<std::string> warning = warning_of(disk);
  const Method method = method_for(options, disk.disk);
  const std::string file = file_of(options, choice.candidate().drive_id());
  // Nothing is destroyed that cannot be recorded.
  record::RecordPlace place(file, wiped_drive_json(disk));
  const record::RecordKey key = record::RecordKey::load_or_make();

  const std::optional<guard::VettedDrive> vetted =
      choice.vet(warning ? std::optional("Warning: " + *warning) : warning, what_happens(method));
  if (!vetted) {
    note("\ndriveprep: stopped");
    return stop_exit_status();
  }
  guard::ArmedDrive drive = guard::arm(*vetted);
  const CleanStop clean_stop;  // from the first that has to be told
  WipeOutcome outcome;
  outcome.method = method;
  outcome.started = FileTime::now();
  outcome.health_before = drive.health_when_armed();
  if (warning) outcome.warnings.push_back(*warning);
  outcome.earlier = place.earlier();
  record_beginning(place, drive, outcome, key);
  wipe_drive(drive, outcome, options.json);
  const nlohmann::ordered_json record = wipe_record(drive.candidate().disk(), outcome);
  const std::optional<Error> unrecorded = write_or_print(place, record::sign_record(record, key));
  if (unrecorded) {
    note(drive.drive_id() + (outcome.error            ? "  NOT WIPED"
                             : outcome.report.stopped ? "  stopped: NOT WIPED"
                                                      : "  wiped"));
  } else if (options.json) {
    print_json({{"schema", 1}, {"file", file}, {"record", record}});
  } else {
    print_outcome(drive.drive_id(), outcome,
                  guard::hidden_bytes(drive.candidate().disk().disk).value_or(0), file);
  }
  // Nothing more is to be had of a drive that takes no writes.
  const bool in_vain = outcome.error && outcome.error->code() == "wipe-unwritable";
  if ((outcome.error || outcome.report.stopped) && !in_vain) {
    note("To wipe it, run: " + once_more(drive.candidate().drive_id(), options, outcome, file));
  }
  if (unrecorded) print_error(*unrecorded);
  if (outcome.error) print_error(*outcome.error);
  if (const std::optional<Error>& worst = outcome.error ? outcome.error : unrecorded) {
    return static_cast<int>(worst->kind());
  }
  return outcome.report.stopped ? stop_exit_status() : 0;
}

}  // namespace driveprep::cli

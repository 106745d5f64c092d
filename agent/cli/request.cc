#include "agent/request/bodies.h"

#include "agent/cli/commands.h"
#include "agent/cli/job_session.h"
#include "agent/cli/key_session.h"
#include "agent/cli/output.h"
#include "agent/cli/request_parameters.h"
#include "agent/journal/job_lock.h"
#include "agent/keys/audit.h"
#include "agent/keys/drive_envelope.h"
#include "agent/report/sizes.h"
#include "base/atomic_file.h"
#include "base/directories.h"
#include "base/system_error.h"

namespace driveprep::cli {
namespace {

struct Shipped {
  std::vector<request::DriveEntry> entries;
  std::vector<SecretBytes> passwords;  // behind the pointers of the entries
};

Shipped finished_drives(const job::Job& job, const journal::Journal& journal) {
  Shipped shipped;
  for (const journal::Drive& drive : journal.drives()) {
    if (drive.planned_files == 0) continue;
    if (drive.state != journal::DriveState::kFinished) {
      throw Error(ErrorKind::kUsage, "drive-not-finished",
                  "drive " + drive.id + " is " + std::string(journal::to_string(drive.state)) +
                      ": a job can only be created with finished drives",
                  "Run driveprep prepare " + job.directory.root().string() + " first.");
    }
    request::DriveEntry entry;
    entry.drive_id = drive.id;
    entry.manifest_hash = drive.manifest->md5_hex;
    shipped.entries.push_back(std::move(entry));
  }
  return shipped;
}

}  // namespace

int run_request(const RequestOptions& options) {
  const job::Job job = job::load_job(options.job);
  open_begun(job.directory);
  job.directory.check_writable();
  const journal::JobLock lock(job.directory.root());
  const std::unique_ptr<journal::Journal> journal =
      journal::Journal::open(job.directory.root(), journal::Journal::Access::kReadWrite);
  journal->require_job(job.spec.name);
  Shipped shipped = finished_drives(job, *journal);
  check_request_parameters(job.spec);
  const request::JobParameters parameters = request_parameters(job.spec);

  if (options.reveal_keys) {
    keys::JobKeys keys(job, key_operator());
    for (request::DriveEntry& entry : shipped.entries) {
      keys::DriveKey key = keys::open_drive_envelope(job.directory, job.spec.name, entry.drive_id,
                                                     journal::DriveState::kFinished, keys.ring());
      // Recorded before they can leave: a record without a file is harmless, the reverse is not.
      keys::record(*journal, "keys-revealed", entry.drive_id,
                   {{"to", "requests"}, {"key", key.kid}});
      shipped.passwords.push_back(SecretBytes::copy_of(key.password.text()));
    }
    for (std::size_t i = 0; i < shipped.entries.size(); ++i) {
      shipped.entries[i].recovery_password = &shipped.passwords[i];
    }
  }
  const SecretBytes databox = request::databox_body(parameters, shipped.entries);
  const SecretBytes classic = request::import_export_body(parameters, shipped.entries);
  in_job_directory(
      [&] { create_directories_durably(job.directory.requests(), ErrorKind::kWrite); });
  const mode_t mode = options.reveal_keys ? 0600 : 0644;
  const auto databox_file = job.directory.requests() / "databox.json";
  const auto classic_file = job.directory.requests() / "importexport.json";
  in_job_directory([&] {
    write_file_atomically(databox_file, databox.span(), mode);
    write_file_atomically(classic_file, classic.span(), mode);
  });

  if (options.json) {
    nlohmann::ordered_json document = result_head(job.directory, job.spec.name);
    document.update({{"databox", databox_file.string()},
                     {"importexport", classic_file.string()},
                     {"drives", shipped.entries.size()},
                     {"keys_revealed", options.reveal_keys}});
    print_json(document);
    return 0;
  }
  print("wrote " + databox_file.string() + "  (Data Box, api-version " +
        std::string(request::kDataBoxApiVersion) + ")");
  print("wrote " + classic_file.string() + "  (classic Import/Export, api-version " +
        std::string(request::kImportExportApiVersion) + ")");
  if (options.reveal_keys) {
    print("Both files hold the recovery passwords of " +
          report::counted(shipped.entries.size(), "drive") +
          " (mode 0600; recorded in the journal). Delete them once the job exists.");
  } else {
    print(
        "The recovery passwords are left out; --reveal-keys puts them in for the moment of "
        "sending.");
  }
  return 0;
}

}  // namespace driveprep::cli

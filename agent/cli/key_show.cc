#include "agent/cli/commands.h"
#include "agent/cli/job_session.h"
#include "agent/cli/output.h"
#include "agent/cli/secret_output.h"
#include "agent/journal/job_lock.h"
#include "agent/prepare/drive_preparation.h"

namespace driveprep::cli {
int run_key_show(const KeyShowOptions& options) {
  const job::Job job = job::load_job_for_keys(options.job);
  open_begun(job.directory);
  job.directory.check_writable(64 * kKiB);
  const journal::JobLock lock(job.directory.root());
  const std::unique_ptr<journal::Journal> journal =
      journal::Journal::open(job.directory.root(), journal::Journal::Access::kReadWrite);
  const std::optional<journal::Drive> drive = journal->drive(options.drive);
  if (!drive || !drive->volume) {
    throw Error(ErrorKind::kUsage, "drive-unknown",
                "this job has no drive " + options.drive + " with a recovery password",
                "driveprep status lists the drives of the job.");
  }
  const std::unique_ptr<keywrap::LocalKeyStore> keys = open_key_store(job);
  const bitlocker::RecoveryPassword password =
      prepare::open_envelope(job.directory, journal->job()->id, options.drive, drive->state, *keys);
  journal->add_event("key-shown", options.drive);
  if (options.json) {
    nlohmann::ordered_json document = result_head(job.directory, job.spec.name);
    document.update(
        {{"drive", options.drive}, {"protector", drive->volume->recovery_protector.lower()}});
    std::string head = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    head.pop_back();
    print_secret(head + ",\"recovery_password\":\"", password.text(), "\"}\n");
  } else {
    print_secret("", password.text(), "\n");
  }
  return 0;
}

}  // namespace driveprep::cli

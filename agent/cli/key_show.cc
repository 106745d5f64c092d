#include "agent/cli/job_session.h"
#include "agent/cli/key_commands.h"
#include "agent/cli/key_session.h"
#include "agent/cli/output.h"
#include "agent/cli/secret_output.h"
#include "agent/keys/audit.h"
#include "agent/keys/drive_envelope.h"

namespace driveprep::cli {

int run_key_show(const KeyShowOptions& options) {
  open_begun(job::load_job_for_keys(options.job).directory);
  KeySession session(options.job, KeySession::Access::kChange);
  const job::Job& job = session.job();
  const std::optional<journal::Drive> drive = session.journal()->drive(options.drive);
  if (!drive || !drive->volume) {
    throw Error(ErrorKind::kUsage, "drive-unknown",
                "this job has no drive " + options.drive + " with a recovery password",
                "driveprep status lists the drives of the job.");
  }
  const keys::DriveKey key = session.in_its_words([&] {
    return keys::open_drive_envelope(job.directory, job.spec.name, options.drive, drive->state,
                                     session.keys().ring(), accepted(options));
  });
  for (const std::string& warning : key.warnings) {
    note("driveprep: warning: " + printable_line(warning));
  }
  // Before it can leave: a record without a key is harmless, the reverse is not.
  keys::record(*session.journal(), keys::kKeyShown, options.drive, {{"key", key.kid}});
  if (options.json) {
    nlohmann::ordered_json document = result_head(job.directory, job.spec.name);
    document.update({{"drive", options.drive},
                     {"protector", drive->volume->recovery_protector.lower()},
                     {"kid", key.kid}});
    std::string head = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    head.pop_back();
    print_secret(head + ",\"recovery_password\":\"", key.password.text(), "\"}\n");
  } else {
    print_secret("", key.password.text(), "\n");
  }
  return 0;
}

}  // namespace driveprep::cli

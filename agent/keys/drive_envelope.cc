#include "agent/keys/drive_envelope.h"

#include "agent/keys/audit.h"
#include "agent/keys/envelopes.h"

namespace driveprep::keys {

DriveKey open_drive_envelope(const job::JobDirectory& directory, const std::string& job_id,
                             const std::string& drive_id, journal::DriveState state,
                             keywrap::KeyStore& keys, keywrap::Accept accept) {
  const std::filesystem::path file = directory.envelope(drive_id);
  if (!std::filesystem::exists(file)) {
    throw Error(ErrorKind::kKey, "envelope-missing",
                "drive " + drive_id + ": there is no " + file.string() +
                    ", which holds the recovery password; without it nobody can open the volume",
                state == journal::DriveState::kFinished
                    ? "Restore that file from a copy; without one, ship the data again with a new "
                      "job directory. A .BEK file or a password that the volume was given still "
                      "opens this drive, but the service does not take them."
                    : "Restore that file from a copy.");
  }
  const std::string text = envelope_text(file);
  keywrap::Opened opened =
      keywrap::open(text, {job_id, drive_id, keywrap::Purpose::kRecoveryPassword}, keys, accept);
  return {bitlocker::RecoveryPassword::parse(opened.payload.value.text()), std::move(opened.kid),
          std::move(opened.warnings)};
}

bitlocker::RecoveryPassword use_recovery_password(journal::Journal& journal,
                                                  const job::JobDirectory& directory,
                                                  const std::string& job_id,
                                                  const std::string& drive_id,
                                                  journal::DriveState state,
                                                  keywrap::KeyStore& keys, const char* why) {
  DriveKey key = open_drive_envelope(directory, job_id, drive_id, state, keys);
  record(journal, kEnvelopeOpened, drive_id, {{"key", key.kid}, {"why", why}});
  return std::move(key.password);
}

}  // namespace driveprep::keys

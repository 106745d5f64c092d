// The password that a job may ask for besides the recovery password: one line of a file that the
// operator names. It is read when a volume is made and kept nowhere.
#pragma once

#include <optional>

#include "agent/job/job_directory.h"
#include "agent/journal/journal.h"
#include "base/secret_bytes.h"

namespace driveprep::prepare {

// The first line of bitlocker/passwordFile, without its end; nullopt when the job names no file.
// Errors, kUsage: "password-file" (missing, unreadable, a link, or no regular file),
// "bitlocker-password-length"; kKey: "bitlocker-password-text".
std::optional<SecretBytes> read_password(const job::JobSpec& spec);

// Throws as read_password() does, before anything is made. Once every drive has its volume the
// password is of no use any more, and its file may be gone. `journal` may be null.
void check_password_file(const job::Job& job, const journal::Journal* journal);

}  // namespace driveprep::prepare

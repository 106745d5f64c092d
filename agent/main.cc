#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>

#include "agent/cli/parser.h"
#include "agent/cli/privileges.h"
#include "agent/cli/stop_signals.h"
#include "base/inherited_descriptors.h"
#include "base/secret_bytes.h"

namespace {

// The file that is opened next takes the lowest descriptor that is free. With standard output or
// standard error closed that may be the drive, and messages and keys would be written over it. What
// takes their places fails when it is used, as a closed one does.
bool occupy_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) != -1 || errno != EBADF) continue;
    if (::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) != stream) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  driveprep::note_inherited_descriptors();
  if (!occupy_standard_streams()) return 1;
  // Before anything else exists: threads, secrets, files.
  try {
    driveprep::cli::separate_privileges(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "driveprep: %s\n", error.what());
    return 1;
  }
  if (driveprep::protect_process_memory() == driveprep::SecretMemory::kNotLocked) {
    std::fputs(
        "driveprep: warning: secrets could not be locked into memory and may be swapped out; "
        "raise the limit for locked memory (ulimit -l)\n",
        stderr);
  }
  // Plans, logs and journals name the customer's files.
  umask(077);
  driveprep::cli::watch_stop_signals();
  return driveprep::cli::run(argc, argv);
}

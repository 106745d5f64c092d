#include <sys/stat.h>

#include <cstdio>

#include "agent/cli/parser.h"
#include "agent/cli/stop_signals.h"
#include "base/secret_bytes.h"

int main(int argc, char** argv) {
  // Before anything else exists that could hold a secret.
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

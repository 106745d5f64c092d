#include "agent/cli/secret_input.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "base/error.h"
#include "base/posix.h"
#include "base/system_error.h"

namespace driveprep::cli {
namespace {

std::string name_of(int descriptor) {
  return descriptor == STDIN_FILENO ? "standard input"
                                    : "file descriptor " + std::to_string(descriptor);
}

[[noreturn]] void descriptor_unusable(int descriptor, const std::string& why) {
  throw Error(ErrorKind::kUsage, "secret-descriptor",
              "the secret cannot be read from " + name_of(descriptor) + ": " + why,
              descriptor == STDIN_FILENO
                  ? std::string("Give the secret on standard input: ... < FILE.")
                  : "Open the descriptor for this command: ... --fd " + std::to_string(descriptor) +
                        " " + std::to_string(descriptor) + "< FILE.");
}

}  // namespace

void require_readable_secret(int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0) descriptor_unusable(descriptor, "it is not open");
  if ((flags & O_ACCMODE) == O_WRONLY) descriptor_unusable(descriptor, "it is open for writing");
}

SecretBytes read_secret_bytes(int descriptor, std::size_t limit) {
  SecretBytes secret(limit);
  try {
    secret.truncate(
        posix::read_up_to(descriptor, secret.span(), name_of(descriptor), ErrorKind::kUsage));
  } catch (const SystemError& error) {
    descriptor_unusable(descriptor, std::strerror(error.number()));
  }
  return secret;
}

}  // namespace driveprep::cli

#include "agent/cli/secret_input.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/error.h"

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
  std::size_t length = 0;
  while (length < secret.size()) {
    const MutableByteView rest = secret.span().subspan(length);
    const ssize_t count = ::read(descriptor, rest.data(), rest.size());
    if (count == 0) break;
    if (count > 0) {
      length += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {
      pollfd waiting{descriptor, POLLIN, 0};
      ::poll(&waiting, 1, -1);
    } else if (errno != EINTR) {
      descriptor_unusable(descriptor, std::strerror(errno));
    }
  }
  secret.truncate(length);
  return secret;
}

}  // namespace driveprep::cli

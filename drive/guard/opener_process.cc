#include "drive/guard/opener_process.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/posix.h"
#include "base/privileges.h"
#include "drive/guard/opener_service.h"
#include "drive/guard/remote_opener.h"

namespace driveprep::guard {
namespace {

// The child. What stops the worker stops by the end of the socket: Ctrl-C goes to both.
[[noreturn]] void run_opener(int socket) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(number, SIG_IGN);
  try {
    keep_disk_rights_only();
    serve_opener(socket, std::make_shared<OwnOpener>());
  } catch (const std::exception&) {
    ::_exit(1);
  }
  ::_exit(0);
}

class OpenerProcess final : public RemoteOpener {
 public:
  OpenerProcess(UniqueFd socket, pid_t child) : RemoteOpener(std::move(socket)), child_(child) {}
  // One that a disk holds in the kernel cannot be ended, and is not waited for.
  ~OpenerProcess() override {
    constexpr auto kLongest = std::chrono::seconds(2);
    constexpr auto kPause = std::chrono::milliseconds(1);
    hang_up();
    const auto end = std::chrono::steady_clock::now() + kLongest;
    while (std::chrono::steady_clock::now() < end) {
      const pid_t ended = ::waitpid(child_, nullptr, WNOHANG);
      if (ended == child_ || (ended < 0 && errno != EINTR)) return;
      std::this_thread::sleep_for(kPause);
    }
  }

 private:
  pid_t child_;
};

}  // namespace

std::unique_ptr<DiskOpener> start_opener_process() {
  int pair[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    throw Error::from_errno(ErrorKind::kInternal, "opener-lost", "make a socket", errno);
  }
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  const pid_t child = ::fork();
  if (child < 0) {
    throw Error::from_errno(ErrorKind::kInternal, "opener-lost", "start a process", errno);
  }
  if (child == 0) {
    ours = UniqueFd();
    run_opener(theirs.get());
  }
  return std::make_unique<OpenerProcess>(std::move(ours), child);
}

}  // namespace driveprep::guard

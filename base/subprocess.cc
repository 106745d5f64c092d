#include "base/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "base/error.h"
#include "base/unique_fd.h"

namespace driveprep {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::size_t kOutputLimit = 64 * 1024;
constexpr std::chrono::milliseconds kWaitStep{10};

struct Pipe {
  Pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) {
      throw Error::from_errno(ErrorKind::kInternal, "pipe-failed", "make a pipe", errno);
    }
    reader = UniqueFd(fds[0]);
    writer = UniqueFd(fds[1]);
  }

  UniqueFd reader;
  UniqueFd writer;
};

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

struct Outputs {
  int standard;
  int errors;
};

pid_t spawn(const std::filesystem::path& program, const std::vector<std::string>& arguments,
            std::vector<std::string> environment, Outputs outputs,
            const std::vector<int>& inherited_fds, bool own_group) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, outputs.standard, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, outputs.errors, STDERR_FILENO);
  // A dup2 onto itself clears close-on-exec in the child only.
  for (int fd : inherited_fds) posix_spawn_file_actions_adddup2(&actions, fd, fd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  if (own_group) posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);

  std::vector<std::string> words = {program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  pid_t child = 0;
  const int spawned = posix_spawn(&child, program.c_str(), &actions, &attributes,
                                  pointers(words).data(), pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) {
    throw Error::from_errno(ErrorKind::kInternal, "helper-missing", "start " + program.string(),
                            spawned, "Install the package that holds this program.");
  }
  return child;
}

int exit_status_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return exit_status_of(status);
}

// Bytes of standard output, never outside locked memory.
class SecretSink {
 public:
  // False at the end.
  bool read_from(int fd) {
    const MutableByteView room =
        size_ < buffer_.size() ? buffer_.span().subspan(size_) : discarded_.span();
    const ssize_t got = ::read(fd, room.data(), room.size());
    if (got < 0) return errno == EINTR;
    if (size_ < buffer_.size()) size_ += static_cast<std::size_t>(got);
    return got > 0;
  }

  SecretBytes take() {
    buffer_.truncate(size_);
    return buffer_.clone();  // of the size that is needed
  }

 private:
  SecretBytes buffer_{kOutputLimit};
  SecretBytes discarded_{4096};
  std::size_t size_ = 0;
};

bool append_from(int fd, std::string& text) {
  char buffer[4096];
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  if (got < 0) return errno == EINTR;
  if (text.size() < kOutputLimit) text.append(buffer, static_cast<std::size_t>(got));
  return got > 0;
}

// What poll(2) takes: milliseconds left, rounded up.
int milliseconds_until(SteadyTime end) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1'000'000));
}

// Reads both until they end; false when the time was over before.
bool drain(UniqueFd standard, UniqueFd errors, SecretSink& secret, std::string& text,
           SteadyTime end) {
  pollfd polled[] = {{standard.get(), POLLIN, 0}, {errors.get(), POLLIN, 0}};
  while (polled[0].fd >= 0 || polled[1].fd >= 0) {
    const int ready = ::poll(polled, 2, milliseconds_until(end));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    // A negative descriptor is passed over.
    if (polled[0].revents != 0 && !secret.read_from(polled[0].fd)) polled[0].fd = -1;
    if (polled[1].revents != 0 && !append_from(polled[1].fd, text)) polled[1].fd = -1;
  }
  return true;
}

// False when the time was over before.
bool wait_until(pid_t child, SteadyTime end, int& exit_status) {
  int status = 0;
  for (;;) {
    const pid_t done = ::waitpid(child, &status, WNOHANG);
    if (done == child) break;
    if (done < 0 && errno != EINTR) break;
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(kWaitStep);
  }
  exit_status = exit_status_of(status);
  return true;
}

}  // namespace

SubprocessResult run_subprocess(const std::filesystem::path& program,
                                const std::vector<std::string>& arguments,
                                const std::vector<int>& inherited_fds) {
  Pipe pipe;
  const pid_t child =
      spawn(program, arguments, {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"},
            {pipe.writer.get(), pipe.writer.get()}, inherited_fds, false);
  pipe.writer = UniqueFd();
  SubprocessResult result;
  while (append_from(pipe.reader.get(), result.output)) {
  }
  result.exit_status = wait_for(child);
  return result;
}

SecretSubprocessResult run_subprocess_for_secret(const std::filesystem::path& program,
                                                 const std::vector<std::string>& arguments,
                                                 const std::vector<std::string>& environment,
                                                 std::chrono::milliseconds timeout) {
  const SteadyTime end = std::chrono::steady_clock::now() + timeout;
  Pipe standard;
  Pipe errors;
  SecretSink secret;
  const pid_t child = spawn(program, arguments, environment,
                            {standard.writer.get(), errors.writer.get()}, {}, true);
  standard.writer = UniqueFd();
  errors.writer = UniqueFd();
  SecretSubprocessResult result;
  const bool finished =
      drain(std::move(standard.reader), std::move(errors.reader), secret, result.errors, end) &&
      wait_until(child, end, result.exit_status);
  if (!finished) {
    ::kill(-child, SIGKILL);  // the group: a wrapper script has children
    result.exit_status = wait_for(child);
    result.timed_out = true;
  }
  result.output = secret.take();
  return result;
}

}  // namespace driveprep

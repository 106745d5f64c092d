#include "base/subprocess.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/unique_fd.h"

namespace driveprep {
namespace {

constexpr std::size_t kOutputLimit = 64 * 1024;

}  // namespace

SubprocessResult run_subprocess(const std::filesystem::path& program,
                                const std::vector<std::string>& arguments,
                                const std::vector<int>& inherited_fds) {
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) {
    throw Error::from_errno(ErrorKind::kInternal, "pipe-failed", "make a pipe", errno);
  }
  UniqueFd reader(pipe_fds[0]);
  UniqueFd writer(pipe_fds[1]);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, writer.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, writer.get(), STDERR_FILENO);
  // A dup2 onto itself clears close-on-exec in the child only.
  for (int fd : inherited_fds) posix_spawn_file_actions_adddup2(&actions, fd, fd);

  std::vector<std::string> words = {program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::string path_variable = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  std::string locale_variable = "LC_ALL=C.UTF-8";
  char* environment[] = {path_variable.data(), locale_variable.data(), nullptr};

  pid_t child = 0;
  const int spawned =
      posix_spawn(&child, program.c_str(), &actions, nullptr, argv.data(), environment);
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) {
    throw Error::from_errno(ErrorKind::kInternal, "helper-missing", "start " + program.string(),
                            spawned, "Install the package that holds this program.");
  }
  writer = UniqueFd();

  SubprocessResult result;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(reader.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    if (result.output.size() < kOutputLimit) {
      result.output.append(buffer, static_cast<std::size_t>(got));
    }
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace driveprep

#include "base/subprocess.h"

#include <catch2/catch.hpp>
#include <cstdlib>

#include "tests/support/scratch.h"

using namespace driveprep;

namespace {

SubprocessResult shell(const std::string& script, const std::vector<int>& fds = {}) {
  return run_subprocess("/bin/sh", {"-c", script}, fds);
}

}  // namespace

TEST_CASE("both outputs and the exit status are reported") {
  const SubprocessResult result = shell("echo out; echo err >&2; exit 7");
  CHECK(result.exit_status == 7);
  CHECK(result.output == "out\nerr\n");
}

TEST_CASE("arguments arrive as they are: no shell looks at them") {
  const SubprocessResult result = run_subprocess("/bin/echo", {"$HOME", "a b", "*", "`id`"});
  CHECK(result.output == "$HOME a b * `id`\n");
}

TEST_CASE("a killed program is told by its signal") {
  CHECK(shell("kill -9 $$").exit_status == 128 + 9);
}

TEST_CASE("the environment is the fixed one, not ours") {
  ::setenv("DRIVEPREP_TEST_SECRET", "must not leak", 1);
  const std::string output = run_subprocess("/usr/bin/env", {}).output;
  ::unsetenv("DRIVEPREP_TEST_SECRET");
  CHECK(output == "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C.UTF-8\n");
}

TEST_CASE("standard input is empty") { CHECK(shell("cat").output.empty()); }

TEST_CASE("only the descriptors that were named are open in the child") {
  test::ScratchDirectory scratch;
  const UniqueFd named = posix::open(scratch / "named", O_RDWR | O_CREAT, ErrorKind::kWrite);
  const UniqueFd other = posix::open(scratch / "other", O_RDWR | O_CREAT, ErrorKind::kWrite);
  const SubprocessResult result =
      shell("readlink /proc/self/fd/" + std::to_string(named.get()) + "; readlink /proc/self/fd/" +
                std::to_string(other.get()),
            {named.get()});
  CHECK(result.output == (scratch / "named").string() + "\n");
  CHECK((::fcntl(named.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("endless output is cut, not collected") {
  const SubprocessResult result = shell("head -c 1000000 /dev/zero");
  CHECK(result.exit_status == 0);
  CHECK(result.output.size() >= 64 * 1024);
  CHECK(result.output.size() < 70 * 1024);
}

TEST_CASE("a program that is not there is told by name") {
  CHECK(test::error_of([] { run_subprocess("/nowhere/mkntfs", {}); }) ==
        "internal/helper-missing");
}

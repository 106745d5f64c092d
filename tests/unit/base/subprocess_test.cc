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
  CHECK(test::error_of([] { run_subprocess("/nowhere/mkntfs", {}); }) == "internal/helper-missing");
}

namespace {

SecretSubprocessResult secret_shell(const std::string& script, int timeout_ms = 10'000) {
  return run_subprocess_for_secret("/bin/sh", {"-c", script}, {"PATH=/usr/bin:/bin", "ONLY=this"},
                                   std::chrono::milliseconds(timeout_ms));
}

}  // namespace

TEST_CASE("a secret that a program prints is kept apart from its errors") {
  const SecretSubprocessResult result = secret_shell("echo s3cret; echo warning >&2; exit 3");
  CHECK(result.output.text() == "s3cret\n");
  CHECK(result.errors == "warning\n");
  CHECK(result.exit_status == 3);
  CHECK_FALSE(result.timed_out);
}

TEST_CASE("a program that prints a secret has the environment it was given, and no input") {
  CHECK(run_subprocess_for_secret("/usr/bin/env", {}, {"A=b", "C=d e"}, std::chrono::seconds(10))
            .output.text() == "A=b\nC=d e\n");
  CHECK(secret_shell("cat; echo $ONLY").output.text() == "this\n");
}

TEST_CASE("both outputs are read at the same time, and cut when they are endless") {
  const SecretSubprocessResult result = secret_shell(
      "head -c 200000 /dev/zero >&2; head -c 200000 /dev/zero; "
      "head -c 200000 /dev/zero >&2");
  CHECK(result.exit_status == 0);
  CHECK(result.output.size() == 64 * 1024);
  CHECK(result.errors.size() >= 64 * 1024);
  CHECK(result.errors.size() < 70 * 1024);
}

TEST_CASE("a program that takes too long is killed with its children") {
  test::ScratchDirectory scratch;
  const std::string pid = (scratch / "pid").string();
  const auto start = std::chrono::steady_clock::now();
  SecretSubprocessResult result;
  SECTION("while it holds its output") {
    result = secret_shell("sleep 60 & echo $! > " + pid + "; echo half; wait", 300);
    CHECK(result.output.text() == "half\n");
  }
  SECTION("after it has closed its output") {
    result = secret_shell(
        "sleep 60 >/dev/null 2>&1 & echo $! > " + pid + "; exec >/dev/null 2>&1; wait", 300);
  }
  CHECK(result.timed_out);
  CHECK(result.exit_status == 128 + 9);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
  const std::string child = posix::read_file(pid, 100, ErrorKind::kSource);
  // A killed child may wait for init to collect it.
  CHECK(run_subprocess("/bin/sh", {"-c",
                                   "for i in 1 2 3 4 5 6 7 8 9 10; do "
                                   "grep -qs '^State:.[^Z]' /proc/" +
                                       child.substr(0, child.size() - 1) +
                                       "/status || exit 0; sleep 0.1; done; exit 1"})
            .exit_status == 0);
}

TEST_CASE("a program for a secret that is not there is told by name") {
  CHECK(test::error_of([] {
          run_subprocess_for_secret("/nowhere/az", {}, {}, std::chrono::seconds(1));
        }) == "internal/helper-missing");
}

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <optional>

#include "agent/journal/job_lock.h"
#include "tests/unit/journal/job_directory.h"

namespace driveprep::journal {
namespace {

TEST_CASE("a second run on a job is refused and told who is there") {
  const JobDirectory job;
  const JobLock held(job.path());
  try {
    const JobLock second(job.path());
    FAIL("two runs hold one lock");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kBusy);
    CHECK(error.code() == "job-busy");
    CHECK(std::string(error.what()).find("process " + std::to_string(::getpid())) !=
          std::string::npos);
    CHECK_FALSE(error.remedy().empty());
  }
}

TEST_CASE("who works on a job can be asked without getting in anybody's way") {
  const JobDirectory job;
  CHECK_FALSE(JobLock::holder(job.path()));
  {
    const JobLock held(job.path());
    CHECK(JobLock::holder(job.path()) == ::getpid());
  }
  CHECK_FALSE(JobLock::holder(job.path()));
  // Left behind by a process that was killed: nobody holds it.
  std::ofstream(job.path() / ".lock") << ::getpid() << "\n";
  CHECK_FALSE(JobLock::holder(job.path()));
}

TEST_CASE("a lock is a private file that ends with its holder") {
  const JobDirectory job;
  {
    const JobLock held(job.path());
    struct stat status {};
    REQUIRE(::lstat((job.path() / ".lock").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
  }
  CHECK_FALSE(std::filesystem::exists(job.path() / ".lock"));
  CHECK(error_of([&] { const JobLock again(job.path()); }) == "");
}

TEST_CASE("a lock file left behind by a killed run is taken over") {
  const JobDirectory job;
  std::ofstream(job.path() / ".lock") << "12345\n";
  CHECK(error_of([&] { const JobLock held(job.path()); }) == "");
}

TEST_CASE("removing the lock file cannot bring two runs onto one inode") {
  const JobDirectory job;
  std::optional<JobLock> first(job.path());
  std::filesystem::remove(job.path() / ".lock");
  // The name is new, so the old holder no longer excludes anybody; the new one does.
  const JobLock second(job.path());
  first.reset();
  CHECK(error_of([&] { const JobLock third(job.path()); }) == "busy/job-busy");
}

TEST_CASE("a lock file that is something else is refused") {
  const JobDirectory job;
  const std::filesystem::path lock = job.path() / ".lock";
  SECTION("a symbolic link") {
    std::ofstream(job.path() / "victim") << "precious";
    std::filesystem::create_symlink("victim", lock);
    CHECK(error_of([&] { const JobLock held(job.path()); }) == "write/open-failed");
    CHECK(std::filesystem::file_size(job.path() / "victim") == 8);
  }
  SECTION("a named pipe") {
    REQUIRE(::mkfifo(lock.c_str(), 0600) == 0);
    CHECK(error_of([&] { const JobLock held(job.path()); }) == "usage/job-lock-file");
  }
  SECTION("no directory") {
    CHECK(error_of([&] { const JobLock held(job.path() / "none"); }) == "write/open-failed");
  }
}

}  // namespace
}  // namespace driveprep::journal

#include "agent/job/job_directory.h"

#include <sys/mount.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "agent/job/samples.h"
#include "base/posix.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using driveprep::test::error_of;
namespace fs = std::filesystem;

TEST_CASE("init makes a job directory that loads as it is, with data to try it on") {
  const test::ScratchDirectory scratch;
  const fs::path root = scratch / "new" / "job";
  const auto written = job::init_job_directory(root);
  CHECK(written.size() == 4);
  const job::Job loaded = job::load_job(root);
  CHECK(loaded.directory.root() == root);
  CHECK(loaded.spec.name == loaded.spec.session);
  REQUIRE(loaded.dataset.rows.size() == 1);
  CHECK(loaded.dataset.rows[0].base_path == root / "data");
  CHECK(fs::is_regular_file(loaded.dataset.rows[0].base_path / "readme.txt"));
  REQUIRE(loaded.driveset.rows.size() == 1);
  CHECK(loaded.driveset.rows[0].path == root / "disk0.img");
  CHECK(loaded.driveset.rows[0].prompt_on_format);
}

TEST_CASE("what init writes is the sample in the source tree") {
  const fs::path tree = fs::path(DRIVEPREP_SOURCE_TREE) / "samples" / "job";
  std::size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(tree)) files += entry.is_regular_file();
  CHECK(job::samples().size() == files);
  for (const job::Sample& sample : job::samples()) {
    CHECK(posix::read_file(tree / sample.path, 1 << 20, ErrorKind::kUsage) == sample.content);
  }
}

TEST_CASE("init leaves existing files alone and adds what is missing") {
  const test::ScratchDirectory scratch;
  std::ofstream(scratch / "dataset.csv") << "mine";
  const auto written = job::init_job_directory(scratch.path());
  CHECK(written.size() == 2);  // no sample data beside a data set of the user's own
  CHECK(posix::read_file(scratch / "dataset.csv", 100, ErrorKind::kUsage) == "mine");
  CHECK_FALSE(fs::exists(scratch / "data"));
  CHECK(job::init_job_directory(scratch.path()).empty());
}

TEST_CASE("a job directory that is missing, no directory, or incomplete is refused") {
  const test::ScratchDirectory scratch;
  std::ofstream(scratch / "file") << "x";
  const auto load = [](const fs::path& path) {
    return error_of([&] { job::load_job(path); });
  };
  CHECK(load(scratch / "nowhere") == "usage/job-directory-missing");
  CHECK(load(scratch / "file") == "usage/job-directory-missing");
  CHECK(load(scratch / "file" / "below") == "usage/job-directory-missing");
  CHECK(load(scratch.path()) == "usage/job-file-missing");
  for (const char* name : {"job.json", "dataset.csv", "driveset.csv"}) {
    job::init_job_directory(scratch.path());
    fs::remove(scratch / name);
    CHECK(load(scratch.path()) == "usage/job-file-missing");
  }
}

TEST_CASE("paths of a job directory do not depend on how it was written") {
  CHECK(job::JobDirectory("/a/b/").root() == "/a/b");
  CHECK(job::JobDirectory("/a/./c/../b").root() == "/a/b");
  CHECK(job::JobDirectory("/").root() == "/");
  const job::JobDirectory directory("/a/b");
  CHECK(directory.envelope("X1") == "/a/b/drives/X1/key.jwe.json");
  CHECK(directory.manifest_copy("X1") == "/a/b/drives/X1/DriveManifest.xml");
  CHECK(job::JobDirectory("relative").root() == fs::current_path() / "relative");
}

TEST_CASE("a writable job directory passes the check and keeps no trace of it") {
  const test::ScratchDirectory scratch;
  job::JobDirectory(scratch.path()).check_writable();
  CHECK(fs::is_empty(scratch.path()));
}

TEST_CASE("a full or read-only job directory is told apart", "[root]") {
  const test::ScratchDirectory scratch;
  const fs::path place = scratch / "mounted";
  fs::create_directory(place);
  if (::geteuid() != 0 ||
      ::mount("none", place.c_str(), "tmpfs", MS_NODEV | MS_NOSUID, "size=64k") != 0) {
    WARN("skipped: mounting a small file system needs root");
    return;
  }
  const job::JobDirectory directory(place);
  CHECK(error_of([&] { directory.check_writable(); }) == "write/job-directory-full");
  CHECK(fs::is_empty(place));
  CHECK(error_of([&] { job::init_job_directory(place); }) == "");
  REQUIRE(::mount("none", place.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0);
  CHECK(error_of([&] { directory.check_writable(); }) == "write/job-directory-read-only");
  CHECK(error_of([&] { job::init_job_directory(place / "new"); }) ==
        "write/job-directory-read-only");
  CHECK(error_of([&] { job::load_job(place); }) == "");
  ::umount(place.c_str());
}

TEST_CASE("a job directory of somebody else is refused", "[root]") {
  if (::geteuid() != 0) {
    WARN("skipped: becoming another user needs root");
    return;
  }
  const test::ScratchDirectory scratch;
  const fs::path closed = scratch / "closed";
  fs::create_directory(closed);
  fs::permissions(scratch.path(), fs::perms(0755));
  fs::permissions(closed, fs::perms(0700));
  // access(2) asks for the real user.
  REQUIRE(::setresuid(65534, 65534, 0) == 0);
  const std::string reading = error_of([&] { job::load_job(closed); });
  const std::string writing = error_of([&] { job::JobDirectory(scratch.path()).check_writable(); });
  REQUIRE(::setresuid(0, 0, 0) == 0);
  CHECK(reading == "usage/job-directory-unreadable");
  CHECK(writing == "write/job-directory-read-only");
}

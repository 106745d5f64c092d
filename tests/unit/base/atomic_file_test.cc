#include "base/atomic_file.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "base/units.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using test::error_of;

namespace {

std::vector<std::string> names_in(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

std::string content(const std::filesystem::path& path) {
  return posix::read_file(path, kMiB, ErrorKind::kSource);
}

}  // namespace

TEST_CASE("a committed file is there, whole, alone and with the mode asked for") {
  test::ScratchDirectory scratch;
  const mode_t before = ::umask(0077);
  AtomicFile file(scratch / "key.json", 0640);
  file.write(as_bytes("one "));
  CHECK(names_in(scratch.path()).size() == 1);
  CHECK_FALSE(std::filesystem::exists(scratch / "key.json"));
  file.write(as_bytes("two"));
  file.commit();
  ::umask(before);
  CHECK(content(scratch / "key.json") == "one two");
  CHECK(names_in(scratch.path()) == std::vector<std::string>{"key.json"});
  struct stat status {};
  REQUIRE(::stat((scratch / "key.json").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);
}

TEST_CASE("an abandoned file leaves nothing, and the old one as it was") {
  test::ScratchDirectory scratch;
  write_file_atomically(scratch / "a", as_bytes("old"), 0600);
  {
    AtomicFile file(scratch / "a", 0600);
    file.write(as_bytes("new, half"));
  }
  CHECK(names_in(scratch.path()) == std::vector<std::string>{"a"});
  CHECK(content(scratch / "a") == "old");
}

TEST_CASE("a second commit replaces the first") {
  test::ScratchDirectory scratch;
  write_file_atomically(scratch / "a", as_bytes("a long first version"), 0600);
  write_file_atomically(scratch / "a", as_bytes("second"), 0600);
  CHECK(content(scratch / "a") == "second");
}

TEST_CASE("a failure to create or to rename leaves nothing behind") {
  test::ScratchDirectory scratch;
  CHECK(error_of([&] {
          write_file_atomically(scratch / "absent/a", as_bytes("x"), 0600, ErrorKind::kKey);
        }) == "key/create-failed");
  std::filesystem::create_directory(scratch / "taken");
  CHECK(error_of([&] { write_file_atomically(scratch / "taken", as_bytes("x"), 0600); }) ==
        "write/rename-failed");
  CHECK(names_in(scratch.path()) == std::vector<std::string>{"taken"});
}

TEST_CASE("a full file system is told with a remedy, and leaves nothing", "[linux]") {
  // A write to /dev/full fails like a full disk; the temporary file cannot be there, so the call
  // below it is tested.
  const UniqueFd full = posix::open("/dev/full", O_WRONLY, ErrorKind::kWrite);
  try {
    posix::write_all(full.get(), as_bytes("x"), "report.json", ErrorKind::kWrite);
    FAIL("not thrown");
  } catch (const Error& error) {
    CHECK(error.code() == "write-failed");
    CHECK(std::string(error.what()).find("report.json") != std::string::npos);
    CHECK(error.remedy().find("Free some space") != std::string::npos);
  }
}

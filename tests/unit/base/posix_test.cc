#include "base/posix.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <optional>
#include <thread>

#include "base/units.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using test::error_of;

TEST_CASE("every open is close-on-exec") {
  const UniqueFd fd = posix::open("/dev/null", O_RDONLY, ErrorKind::kSource);
  CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a missing file is an error of the caller's kind, or nullopt where that is asked for") {
  test::ScratchDirectory scratch;
  CHECK(error_of([&] { posix::open(scratch / "absent", O_RDONLY, ErrorKind::kUsage); }) ==
        "usage/open-failed");
  CHECK_FALSE(posix::open_if_exists(scratch / "absent", O_RDONLY, ErrorKind::kUsage).has_value());
  CHECK(error_of([&] {
          posix::open_if_exists(scratch / "absent/deeper/x", O_WRONLY | O_DIRECTORY,
                                ErrorKind::kUsage);
        }).empty());
  CHECK(error_of([&] { posix::open_if_exists(scratch.path(), O_WRONLY, ErrorKind::kUsage); }) ==
        "usage/open-failed");
}

TEST_CASE("a pipe is read to its end, also when it does not block and its bytes come one by one") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  const UniqueFd reader(ends[0]);
  std::optional<UniqueFd> writer(ends[1]);
  std::thread slow([&] {
    for (const char c : {'a', 'b', 'c'}) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      posix::write_all(writer->get(), as_bytes(std::string_view(&c, 1)), "pipe", ErrorKind::kWrite);
    }
    writer.reset();
  });
  Bytes buffer(10);
  CHECK(posix::read_up_to(reader.get(), buffer, "pipe", ErrorKind::kSource) == 3);
  slow.join();
  CHECK(as_text(buffer).substr(0, 3) == "abc");
  CHECK(error_of([&] { posix::read_up_to(-1, buffer, "pipe", ErrorKind::kSource); }) ==
        "source/read-failed");
}

TEST_CASE("a file that ends too early is told with the numbers") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("a", 100);
  const UniqueFd fd = posix::open(path, O_RDWR, ErrorKind::kSource);
  Bytes buffer(50);
  CHECK_NOTHROW(posix::pread_exact(fd.get(), 50, buffer, "a", ErrorKind::kSource));
  CHECK(posix::pread_up_to(fd.get(), 80, buffer, "a", ErrorKind::kSource) == 20);
  try {
    posix::pread_exact(fd.get(), 80, buffer, "a", ErrorKind::kSource);
    FAIL("not thrown");
  } catch (const Error& error) {
    CHECK(error.code() == "file-too-short");
    CHECK(std::string(error.what()).find("ends after 100 bytes") != std::string::npos);
  }
}

TEST_CASE("each call that fails names the file and has a code of its own") {
  const int closed = 1'000'000;  // no such descriptor
  Bytes one(1);
  const auto kind = ErrorKind::kWrite;
  CHECK(error_of([&] { posix::fstat(closed, "a", kind); }) == "write/stat-failed");
  CHECK(error_of([&] { posix::pread_exact(closed, 0, one, "a", kind); }) == "write/read-failed");
  CHECK(error_of([&] { posix::pwrite_all(closed, 0, one, "a", kind); }) == "write/write-failed");
  CHECK(error_of([&] { posix::write_all(closed, one, "a", kind); }) == "write/write-failed");
  CHECK(error_of([&] { posix::fsync(closed, "a", kind); }) == "write/flush-failed");
  CHECK(error_of([&] { posix::fdatasync(closed, "a", kind); }) == "write/flush-failed");
  CHECK(error_of([&] { posix::ftruncate(closed, 1, "a", kind); }) == "write/truncate-failed");
}

TEST_CASE("what is written comes back, and a directory can be made durable") {
  test::ScratchDirectory scratch;
  const UniqueFd fd = posix::open(scratch / "a", O_RDWR | O_CREAT, ErrorKind::kWrite);
  posix::pwrite_all(fd.get(), 3, as_bytes("xyz"), "a", ErrorKind::kWrite);
  posix::ftruncate(fd.get(), 5, "a", ErrorKind::kWrite);
  posix::fsync(fd.get(), "a", ErrorKind::kWrite);
  posix::fdatasync(fd.get(), "a", ErrorKind::kWrite);
  posix::fsync_directory(scratch.path(), ErrorKind::kWrite);
  CHECK(posix::read_file(scratch / "a", kMiB, ErrorKind::kSource) == std::string("\0\0\0xy", 5));
}

TEST_CASE("a file larger than expected is refused, not read into memory") {
  test::ScratchDirectory scratch;
  scratch.image("big", 100'001);
  CHECK(error_of([&] { posix::read_file(scratch / "big", 100'000, ErrorKind::kUsage); }) ==
        "usage/file-too-large");
  CHECK(posix::read_file(scratch / "big", 100'001, ErrorKind::kUsage).size() == 100'001);
  CHECK(error_of([&] { posix::read_file(scratch.path(), 100, ErrorKind::kUsage); }) ==
        "usage/read-failed");
}

TEST_CASE("a descriptor has one owner") {
  UniqueFd first = posix::open("/dev/null", O_RDONLY, ErrorKind::kSource);
  const int number = first.get();
  UniqueFd second = std::move(first);
  CHECK_FALSE(first.valid());
  CHECK(second.get() == number);
  second = UniqueFd();
  { const UniqueFd gone = std::move(second); }
  CHECK(::fcntl(number, F_GETFD) == -1);
}

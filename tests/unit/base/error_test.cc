#include "base/error.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <set>

using namespace driveprep;

TEST_CASE("an error tells its kind, its code, what happened and what to do") {
  const Error error(ErrorKind::kSource, "source-vanished", "a.txt is gone", "Put it back.");
  CHECK(error.kind() == ErrorKind::kSource);
  CHECK(error.code() == "source-vanished");
  CHECK(std::string(error.what()) == "a.txt is gone");
  CHECK(error.remedy() == "Put it back.");
}

TEST_CASE("a failed system call ends with the system's own words") {
  const Error error = Error::from_errno(ErrorKind::kWrite, "open-failed", "open x", ENOENT);
  CHECK(std::string(error.what()) == "open x: No such file or directory");
}

TEST_CASE("every kind has a name of its own") {
  std::set<std::string_view> names;
  for (int kind = 1; kind <= 12; ++kind) names.insert(to_string(static_cast<ErrorKind>(kind)));
  CHECK(names.size() == 12);
}

TEST_CASE("a broken promise is an internal error, in release builds too") {
  CHECK_NOTHROW(require(true, "fine"));
  try {
    require(false, "the promise");
    FAIL("not thrown");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInternal);
    CHECK(std::string(error.what()).find("the promise") != std::string::npos);
  }
}

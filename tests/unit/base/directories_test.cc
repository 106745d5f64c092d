#include "base/directories.h"

#include <catch2/catch.hpp>

#include "tests/support/scratch.h"

using namespace driveprep;

TEST_CASE("directories are made with their parents, and what is there is left alone") {
  test::ScratchDirectory scratch;
  const auto deep = scratch / "a/b/c";
  create_directories_durably(deep, ErrorKind::kWrite);
  CHECK(std::filesystem::is_directory(deep));
  create_directories_durably(deep / "", ErrorKind::kWrite);
  posix::open(scratch / "file", O_WRONLY | O_CREAT, ErrorKind::kWrite);
  CHECK(test::error_of([&] {
          create_directories_durably(scratch / "file/below", ErrorKind::kKey);
        }) == "key/create-failed");
}

#include <catch2/catch.hpp>

#include <cerrno>
#include <filesystem>

#include "agent/prepare/source_opener.h"
#include "base/posix.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::prepare;
namespace fs = std::filesystem;

namespace {

// base/ with the file a/b/file, and secret/ with a file of the same path.
struct Tree {
  Tree() {
    for (const char* name : {"base", "secret"}) {
      fs::create_directories(root() / name / "a/b");
      posix::open(root() / name / "a/b/file", O_WRONLY | O_CREAT, ErrorKind::kWrite);
    }
    row.base_path = root() / "base";
    row.is_directory = true;
    item.source_path = (root() / "base/a/b/file").string();
  }
  fs::path root() const { return scratch.path(); }
  // 0 or the error number.
  int open(bool follow = false) const {
    job::Dataset dataset;
    dataset.rows = {row};
    SourceOpener opener(dataset, follow);
    errno = 0;
    return opener.open(item).valid() ? 0 : errno;
  }

  test::ScratchDirectory scratch;
  job::DatasetRow row;
  plan::FileItem item;
};

}  // namespace

TEST_CASE("a file that has become a link is opened only when links are followed") {
  Tree tree;
  CHECK(tree.open() == 0);
  fs::remove(tree.item.source_path);
  fs::create_symlink(tree.root() / "secret/a/b/file", tree.item.source_path);
  CHECK(tree.open() == ELOOP);
  CHECK(tree.open(true) == 0);
}

TEST_CASE("a directory that has become a link is not passed through") {
  Tree tree;
  fs::remove_all(tree.root() / "base/a");
  fs::create_directory_symlink(tree.root() / "secret/a", tree.root() / "base/a");
  CHECK(tree.open() == ELOOP);
  CHECK(tree.open(true) == 0);
}

TEST_CASE("the base path may hold links, and be one") {
  Tree tree;
  fs::create_directory_symlink(tree.root() / "base", tree.root() / "link");
  tree.row.base_path = tree.root() / "link";
  tree.item.source_path = (tree.root() / "link/a/b/file").string();
  CHECK(tree.open() == 0);

  fs::create_symlink("base/a/b/file", tree.root() / "file");
  tree.row.is_directory = false;
  tree.row.base_path = tree.root() / "file";
  tree.item.source_path = (tree.root() / "file").string();
  CHECK(tree.open() == 0);
}

TEST_CASE("a base path that is the root directory works") {
  Tree tree;
  tree.row.base_path = "/";
  tree.item.source_path = fs::canonical(tree.item.source_path).string();
  CHECK(tree.open() == 0);
}

TEST_CASE("what is not there is missing, with or without its base path") {
  Tree tree;
  fs::remove(tree.item.source_path);
  CHECK(tree.open() == ENOENT);
  fs::remove_all(tree.root() / "base");
  CHECK(tree.open() == ENOENT);
}

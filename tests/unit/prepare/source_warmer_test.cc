#include <catch2/catch.hpp>
#include <filesystem>

#include "agent/prepare/source_warmer.h"
#include "base/posix.h"
#include "base/units.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::prepare;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

// 512 small files that have just been written: all in memory.
struct Files {
  Files() {
    fs::create_directories(scratch.path() / "base");
    job::DatasetRow row;
    row.base_path = scratch.path() / "base";
    row.is_directory = true;
    dataset.rows = {row};
    for (int n = 0; n < 512; ++n) {
      plan::FileItem item;
      item.source_path = (row.base_path / std::to_string(n)).string();
      posix::open(item.source_path, O_WRONLY | O_CREAT, ErrorKind::kWrite);
      items.push_back(std::move(item));
    }
  }

  test::ScratchDirectory scratch;
  job::Dataset dataset;
  std::vector<plan::FileItem> items;
};

void report(SourceWarmer& warmer, int files, std::chrono::nanoseconds time) {
  for (int n = 0; n < files; ++n) warmer.took(time, 1);
}

}  // namespace

TEST_CASE("warming begins again when files are slow to read, not for a single slow one") {
  Files files;
  SourceWarmer warmer(files.dataset, false);
  CHECK(warmer.warming());
  // On a machine that is busy with other things a portion may look slow.
  for (int n = 0; n < 1000 && warmer.warming(); ++n) warmer.look(files.items);
  CHECK_FALSE(warmer.warming());
  report(warmer, 1000, 20us);
  warmer.took(2ms, 1);
  report(warmer, 1000, 20us);
  CHECK_FALSE(warmer.warming());
  report(warmer, 256, 200us);
  CHECK(warmer.warming());
}

TEST_CASE(
    "files that are missing, large or links are nothing to the warmer, and a few judge nothing") {
  Files files;
  SourceWarmer warmer(files.dataset, false);
  std::span<plan::FileItem> few = std::span(files.items).first(4);
  fs::remove(few[0].source_path);
  fs::remove(few[1].source_path);
  fs::create_symlink("/nowhere", few[1].source_path);
  few[2].size = 64 * kMiB;
  warmer.look(few);
  warmer.look({});
  CHECK(warmer.warming());
}

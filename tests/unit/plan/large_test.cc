// Hidden from an ordinary run ("[.large]"): takes a minute and a gigabyte of temporary space.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>

#include "base/unique_fd.h"
#include "tests/unit/plan/plan_fixture.h"

using namespace driveprep;
using namespace driveprep::plan_test;

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

long peak_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

}  // namespace

TEST_CASE("a million files are planned in little memory and read back fast", "[.large]") {
  constexpr int kDirectories = 1000;
  constexpr int kFiles = 1000;
  Fixture fixture;
  for (int d = 0; d < kDirectories; ++d) {
    const fs::path directory = fixture.source() / ("directory-" + std::to_string(d));
    fs::create_directories(directory);
    for (int f = 0; f < kFiles; ++f) {
      const std::string name = (directory / ("some-file-" + std::to_string(f) + ".dat")).string();
      const UniqueFd fd(::open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
      REQUIRE(fd.valid());
    }
  }
  fixture.row(fixture.source().string() + "/", "data/");
  const long before = peak_kib();

  auto start = std::chrono::steady_clock::now();
  const auto store = plan::build_plan(
      fixture.job(), {fixture.drive("A", 2 * kGiB), fixture.drive("B", 4 * kGiB)},
      fixture.job_root() / "plan.db");
  const double building = seconds_since(start);

  start = std::chrono::steady_clock::now();
  plan::FileItem item;
  std::uint64_t count = 0;
  for (std::size_t drive = 0; drive < 2; ++drive) {
    auto cursor = store.files(drive);
    while (cursor.next(item)) ++count;
  }
  const double reading = seconds_since(start);
  const long grown = peak_kib() - before;
  std::printf("planned in %.1f s, read in %.2f s, %ld MiB more at the peak\n", building, reading,
              grown / 1024);
  CHECK(count == std::uint64_t{kDirectories} * kFiles);
  CHECK(static_cast<double>(count) / reading > 200'000);
  CHECK(grown < 200 * 1024);
}

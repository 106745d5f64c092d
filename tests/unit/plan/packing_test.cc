#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>

#include "agent/plan/capacity.h"
#include "agent/plan/packer.h"
#include "tests/unit/plan/plan_fixture.h"

using namespace driveprep;
using namespace driveprep::plan_test;

TEST_CASE("usable space leaves room for everything that is not data") {
  CHECK(plan::usable_bytes(64 * kMiB - 1, 512) == 0);
  CHECK(plan::usable_bytes(64 * kMiB, 512) > 50 * kMiB);
  CHECK(plan::usable_bytes(64 * kMiB, 512) < 60 * kMiB);
  const std::uint64_t large = plan::usable_bytes(8 * kTiB, 512);
  CHECK(large < 8 * kTiB / 100 * 99);
  CHECK(large > 8 * kTiB / 1000 * 985);
}

TEST_CASE("clusters grow when 32 bits cannot number them") {
  CHECK(plan::geometry_of(8 * kTiB, 512).cluster_bytes == 4096);
  CHECK(plan::geometry_of(20'000'000'000'000, 512).cluster_bytes == 8192);
  CHECK(plan::geometry_of(kTiB, 4096).record_bytes == 4096);
}

TEST_CASE("tiny files stay in their records, others take whole clusters") {
  const plan::Geometry geometry;
  const auto small = plan::file_cost(100, 10, 60, geometry);
  CHECK(small < 4096);
  CHECK(plan::file_cost(1000, 10, 60, geometry) > 4096 + 1024);
  CHECK(plan::file_cost(4097, 10, 60, geometry) > 8192 + 1024);
}

TEST_CASE("the rules of the packer") {
  const auto cost = [](std::uint64_t bytes) { return [bytes](std::size_t) { return bytes; }; };
  plan::Packer most({10, 30, 20}, plan::PackRule::kMostRoom);
  CHECK(most.choose(cost(5)) == 1u);
  most.take(1, 25);
  CHECK(most.choose(cost(5)) == 2u);
  plan::Packer best({10, 30, 20}, plan::PackRule::kBestFit);
  CHECK(best.choose(cost(5)) == 0u);
  CHECK(best.choose(cost(15)) == 2u);
  CHECK_FALSE(best.choose(cost(31)).has_value());
  CHECK_THROWS_AS(best.take(0, 11), Error);
}

TEST_CASE("a directory is paid for once on each drive, with its parents") {
  plan::DirectoryCosts costs;
  costs.add(0, 100);
  costs.add(1, 10);
  costs.add(2, 1);
  costs.start(2);
  CHECK(costs.total() == 111);
  CHECK(costs.missing(0, 3) == 111);
  costs.place(0, 2);
  CHECK(costs.missing(0, 3) == 1);
  CHECK(costs.missing(1, 3) == 111);
}

TEST_CASE("every file is placed exactly once and no drive beyond its room, whatever the sizes") {
  std::mt19937_64 random(GENERATE(1u, 2u, 3u, 4u));
  Fixture fixture;
  std::map<std::string, std::uint64_t> expected;
  for (int i = 0; i < 150; ++i) {
    const std::uint64_t size = i % 10 == 0 ? random() % (60 * kMiB) : random() % (300 * kKiB);
    const std::string name =
        "d" + std::to_string(random() % 12) + "/e" + std::to_string(random() % 3) + "/f" +
        std::to_string(i);
    fixture.file(name, size);
    expected["data/" + name] = size;
  }
  fixture.row(fixture.source().string() + "/", "data/");
  const std::vector<plan::DriveInput> drives = {
      fixture.drive("A", 300 * kMiB), fixture.drive("B", 200 * kMiB), fixture.drive("C", 500 * kMiB, 4096)};
  const auto store = plan::build_plan(fixture.job(), drives, {});
  std::map<std::string, std::uint64_t> found;
  for (std::size_t drive = 0; drive < drives.size(); ++drive) {
    std::uint64_t bytes = 0;
    std::set<std::int64_t> directories;
    auto cursor = store.directories(drive);
    plan::Directory directory;
    while (cursor.next(directory)) directories.insert(directory.id);
    const auto files = items(store, drive);
    for (std::size_t i = 0; i < files.size(); ++i) {
      CHECK(files[i].number == i);
      CHECK(directories.contains(files[i].directory_id));
      CHECK(found.emplace(files[i].blob_path, files[i].size).second);
      bytes += files[i].size;
    }
    const plan::DrivePlan& planned = store.drives()[drive];
    CHECK(planned.files == files.size());
    CHECK(planned.bytes == bytes);
    CHECK(planned.bytes < planned.estimated_bytes);
    CHECK(planned.estimated_bytes <= planned.usable_bytes);
  }
  CHECK(found == expected);
}

TEST_CASE("small files of one directory are split over drives when no drive holds them all") {
  Fixture fixture;
  for (int i = 0; i < 30; ++i) fixture.file("f" + std::to_string(i), 4 * kMiB);
  fixture.row(fixture.source().string() + "/", "data/");
  const auto store = plan::build_plan(
      fixture.job(), {fixture.drive("A", 80 * kMiB), fixture.drive("B", 80 * kMiB)}, {});
  CHECK(store.drives()[0].files > 0);
  CHECK(store.drives()[1].files > 0);
  CHECK(store.total_files() == 30);
}

TEST_CASE("the tightest drives are used when the most even spread does not fit") {
  // With most room first, 60 goes to A, 50 to B, and no drive takes the other 50.
  Fixture fixture;
  fixture.file("a", 60 * kMiB);
  fixture.file("b", 50 * kMiB);
  fixture.file("c", 50 * kMiB);
  fixture.row(fixture.source().string() + "/", "data/");
  const auto store = plan::build_plan(
      fixture.job(), {fixture.drive("A", 112 * kMiB), fixture.drive("B", 72 * kMiB)}, {});
  REQUIRE(store.drives()[1].files == 1);
  CHECK(items(store, 1)[0].blob_path == "data/a");
  CHECK(store.drives()[0].files == 2);
}

TEST_CASE("more data than space is refused with the numbers of every drive") {
  Fixture fixture;
  for (int i = 0; i < 8; ++i) fixture.file("f" + std::to_string(i), 40 * kMiB);
  fixture.row(fixture.source().string() + "/", "data/");
  const auto error = error_of([&] {
    plan::build_plan(fixture.job(), {fixture.drive("FIRST", 100 * kMiB), fixture.drive("SECOND", 128 * kMiB)},
                     {});
  });
  CHECK(error.code() == "not-enough-space");
  const std::string text = error.what();
  CHECK(text.find("FIRST") != std::string::npos);
  CHECK(text.find("SECOND") != std::string::npos);
  CHECK(text.find("are missing") != std::string::npos);
  CHECK_THAT(text, Catch::Contains("8 files of 336 MB need ") && !Catch::Contains("GiB"));
}

TEST_CASE("files that fit by their sum but not one by one are refused as such") {
  Fixture fixture;
  for (int i = 0; i < 3; ++i) fixture.file("f" + std::to_string(i), 60 * kMiB);
  fixture.row(fixture.source().string() + "/", "data/");
  const auto error = error_of([&] {
    plan::build_plan(fixture.job(), {fixture.drive("A", 110 * kMiB), fixture.drive("B", 110 * kMiB)}, {});
  });
  CHECK(error.code() == "not-enough-space");
  CHECK(std::string(error.what()).find("file by file") != std::string::npos);
}

TEST_CASE("a file larger than the largest drive is named") {
  Fixture fixture;
  const fs::path file = fixture.file("enormous", 2 * kGiB);
  fixture.row(fixture.source().string() + "/", "data/");
  const auto error = error_of([&] { fixture.plan(kGiB); });
  CHECK(error.code() == "not-enough-space");
  CHECK(std::string(error.what()).find(file.string()) != std::string::npos);
}

TEST_CASE("one file is counted as one") {
  Fixture fixture;
  fixture.file("one", 60 * kMiB);
  for (int i = 0; i < 2000; ++i) fs::create_directory(fixture.source() / std::to_string(i));
  fixture.row(fixture.source().string() + "/", "data/");
  CHECK_THAT(error_of([&] { fixture.plan(70 * kMiB); }).what(),
             Catch::Contains("1 file of 62.9 MB needs "));
}

TEST_CASE("a drive below 64 MiB is refused") {
  Fixture fixture;
  fixture.file("f");
  fixture.row(fixture.source().string() + "/", "data/");
  CHECK(error_of([&] { fixture.plan(64 * kMiB - 512); }).code() == "drive-too-small");
}

TEST_CASE("a drive that gets no files is reported") {
  Fixture fixture;
  fixture.file("f", 20 * kMiB);
  fixture.row(fixture.source().string() + "/", "data/");
  const auto store = plan::build_plan(
      fixture.job(), {fixture.drive("A", kGiB), fixture.drive("B", 2 * kGiB)}, {});
  CHECK(count_of(store, "drive-unused") == 1);
  CHECK(store.drives()[0].files == 0);
  CHECK(store.drives()[1].directories == 2);
}

TEST_CASE("a drive with sectors that the service does not take is reported") {
  Fixture fixture;
  fixture.file("f");
  fixture.row(fixture.source().string() + "/", "data/");
  const auto store = plan::build_plan(
      fixture.job(), {fixture.drive("D0", kGiB, 512), fixture.drive("D1", kGiB, 4096)}, {});
  CHECK(count_of(store, "sector-size") == 1);
  for (const plan::Finding& finding : store.findings(10)) {
    if (finding.code != "sector-size") continue;
    CHECK(finding.subject == "D1");
    CHECK_THAT(finding.detail, Catch::Contains("4096"));
  }
}

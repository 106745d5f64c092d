#include <sqlite3.h>

#include <catch2/catch.hpp>
#include <functional>

#include "agent/plan/ntfs_naming.h"
#include "base/utf16.h"
#include "drive/ntfs/names.h"
#include "tests/unit/plan/plan_fixture.h"

using namespace driveprep;
using namespace driveprep::plan_test;

namespace {

std::string digest_of(const Fixture& fixture, std::uint64_t bytes = kGiB,
                      const std::string& id = "D0") {
  return plan::build_plan(fixture.job(), {fixture.drive(id, bytes)}, {}).digest_text();
}

}  // namespace

TEST_CASE("a plan kept in a file is the same when it is opened again") {
  Fixture fixture;
  fixture.file("a/b", 3);
  fixture.file("c:d", 4);
  fixture.row(fixture.source().string() + "/", "data/");
  const fs::path file = fixture.job_root() / "plan.db";
  const auto built = plan::build_plan(fixture.job(), {fixture.drive("D0", kGiB)}, file);
  const auto opened = plan::PlanStore::open(file);
  CHECK(opened.digest() == built.digest());
  CHECK(opened.digest_text().size() == 64);
  CHECK(opened.session() == "trial");
  CHECK(opened.drives()[0].drive_id == "D0");
  CHECK(opened.drives()[0].target == fixture.job_root() / "D0.img");
  CHECK(items(opened).size() == 2);
  CHECK(opened.findings(10).size() == 1);
  CHECK(opened.findings(10)[0].subject == "data/c:d");
  // Only the plan itself is left in the directory.
  CHECK(std::distance(fs::directory_iterator(fixture.job_root()), fs::directory_iterator()) == 1);
}

TEST_CASE("an earlier plan is left alone when a new one fails") {
  Fixture fixture;
  fixture.file("a");
  fixture.row(fixture.source().string() + "/", "data/");
  const fs::path file = fixture.job_root() / "plan.db";
  const std::string digest =
      plan::build_plan(fixture.job(), {fixture.drive("D0", kGiB)}, file).digest_text();
  fixture.file("b\\c");
  CHECK_THROWS_AS(plan::build_plan(fixture.job(), {fixture.drive("D0", kGiB)}, file),
                  plan::PlanRefused);
  CHECK(plan::PlanStore::open(file).digest_text() == digest);
}

TEST_CASE("what is no finished plan is not opened as one") {
  Fixture fixture;
  const fs::path file = fixture.root() / "plan.db";
  const auto open = [&] { plan::PlanStore::open(file); };
  CHECK(error_of(open).code() == "plan-missing");
  const auto execute = [&](const char* sql) {
    sqlite3* raw = nullptr;
    REQUIRE(sqlite3_open(file.c_str(), &raw) == SQLITE_OK);
    CHECK(sqlite3_exec(raw, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(raw);
  };
  execute("CREATE TABLE something(x)");
  CHECK(error_of(open).code() == "plan-unfinished");
  execute("CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT)");
  CHECK(error_of(open).code() == "plan-unfinished");
  execute("INSERT INTO meta VALUES('format', '999')");
  CHECK(error_of(open).code() == "plan-version");
}

TEST_CASE("the digest is the same in every run and differs for every input") {
  Fixture fixture;
  fixture.file("a/one", 100);
  fixture.file("a/two", 200);
  const std::string row = fixture.source().string() + "/";
  fixture.row(row, "data/");
  const std::string before = digest_of(fixture);
  CHECK(digest_of(fixture) == before);

  SECTION("not for the time of the last reading") {
    const timespec times[2] = {{1, 0}, {0, UTIME_OMIT}};
    REQUIRE(::utimensat(AT_FDCWD, (fixture.source() / "a/one").c_str(), times, 0) == 0);
    CHECK(digest_of(fixture) == before);
  }
  SECTION("size of a file") {
    fs::resize_file(fixture.source() / "a/one", 101);
    CHECK(digest_of(fixture) != before);
  }
  SECTION("time of a file") {
    const timespec times[2] = {{1, 0}, {1, 0}};
    REQUIRE(::utimensat(AT_FDCWD, (fixture.source() / "a/one").c_str(), times, 0) == 0);
    CHECK(digest_of(fixture) != before);
  }
  SECTION("name of a file") {
    fs::rename(fixture.source() / "a/one", fixture.source() / "a/onf");
    CHECK(digest_of(fixture) != before);
  }
  SECTION("one more file") {
    fixture.file("a/three", 0);
    CHECK(digest_of(fixture) != before);
  }
  SECTION("an empty directory") {
    fs::create_directory(fixture.source() / "empty");
    CHECK(digest_of(fixture) != before);
  }
  SECTION("identity of a drive") { CHECK(digest_of(fixture, kGiB, "D1") != before); }
  SECTION("size of a drive") { CHECK(digest_of(fixture, 2 * kGiB) != before); }
  SECTION("sector size") {
    const auto store =
        plan::build_plan(fixture.job(), {fixture.drive("D0", kGiB, 4096)}, {});
    CHECK(store.digest_text() != before);
  }
  SECTION("destination, kind and disposition of a row") {
    std::set<std::string> digests = {before};
    for (const auto& [destination, rest] : std::vector<std::pair<std::string, std::string>>{
             {"data/x/", "BlockBlob,rename,None,None"},
             {"data2/", "BlockBlob,rename,None,None"},
             {"data/", "BlockBlob,overwrite,None,None"}}) {
      Fixture other;
      const job::Dataset dataset = job::parse_dataset(
          "BasePath,DstItemPathOrPrefix,ItemType,Disposition,MetadataFile,PropertiesFile\n" + row +
              "," + destination + "," + rest + "\n",
          fixture.job_root() / "dataset.csv");
      job::Job job = fixture.job();
      job.dataset = dataset;
      CHECK(digests
                .insert(plan::build_plan(job, {fixture.drive("D0", kGiB)}, {}).digest_text())
                .second);
    }
  }
  SECTION("session") {
    job::Job job = fixture.job();
    job.spec.session = "other";
    CHECK(plan::build_plan(job, {fixture.drive("D0", kGiB)}, {}).digest_text() != before);
  }
}

TEST_CASE("substitute names are legal on NTFS, stable, and keep the extension") {
  for (const std::string name :
       {"a:b.txt", "CON", "con.a.txt", "..x.", "   ", "a.b c ", "\x01", "x|y.tar.gz"}) {
    const std::u16string first = plan::substitute_name(name, 0);
    CAPTURE(name, *utf8_from_utf16(first));
    CHECK(ntfs::check_name(first) == ntfs::NameVerdict::kOk);
    CHECK(first == plan::substitute_name(name, 0));
    CHECK(first != plan::substitute_name(name, 1));
  }
  CHECK(utf8_from_utf16(plan::substitute_name("a:b.txt", 0))->ends_with(".txt"));
  std::string long_name;
  for (int i = 0; i < 200; ++i) long_name += "\xF0\x9F\x98\x80";  // 400 UTF-16 units
  CHECK(ntfs::check_name(plan::substitute_name(long_name, 0)) == ntfs::NameVerdict::kOk);
}

TEST_CASE("names are shown without control characters and broken bytes") {
  CHECK(plan::printable("plain \xC3\xA4 \xF0\x9F\x98\x80") == "plain \xC3\xA4 \xF0\x9F\x98\x80");
  CHECK(plan::printable("a\nb\x7F\xFFz") == "a\\x0Ab\\x7F\\xFFz");
  CHECK(plan::printable("\xC2\x85") == "\\xC2\\x85");
  // U+202E shows "gpj.exe" as "exe.jpg"; letters of scripts that run from right to left are no control.
  CHECK(plan::printable("a\xE2\x80\xAEgpj.exe") == "a\\xE2\\x80\\xAEgpj.exe");
  CHECK(plan::printable("\xE2\x81\xA6\xE2\x80\x8E") == "\\xE2\\x81\\xA6\\xE2\\x80\\x8E");
  CHECK(plan::printable("\xC2\x85\xC2\x85 \xC3\xA4\xC3\xA4") == "\\xC2\\x85\\xC2\\x85 \xC3\xA4\xC3\xA4");
  CHECK(plan::printable("\xD7\x90") == "\xD7\x90");
}

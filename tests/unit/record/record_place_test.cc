#include "agent/record/record_place.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "agent/record/signed_record.h"
#include "base/posix.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using nlohmann::ordered_json;
using record::RecordPlace;
using test::error_of;

namespace {

namespace fs = std::filesystem;

constexpr const char* kExists = "usage/record-exists";

ordered_json drive(const char* serial = "WD-1") {
  return {{"id", serial}, {"serial", serial}, {"model", "WDC"}, {"wwn", nullptr}, {"bytes", 4096}};
}

struct Place {
  test::ScratchDirectory scratch;
  fs::path path = scratch / "returned-17.json";
  test::ScratchDirectory for_key;
  record::RecordKey key = record::RecordKey::load_or_make(for_key / "key.pem");

  std::string text(const char* result, const char* serial = "WD-1") const {
    ordered_json record = {{"schema", 1},
                           {"kind", "wipe"},
                           {"started", "2026-11-23T09:47:03Z"},
                           {"ended", nullptr},
                           {"result", result},
                           {"error", nullptr},
                           {"drive", drive(serial)},
                           {"method", "overwrite"},
                           {"metadata_destroyed", nullptr},
                           {"read_back", nullptr}};
    if (std::string(result) != "begun") record["ended"] = "2026-11-23T09:48:03Z";
    return record::sign_record(record, key);
  }
  std::string held(const fs::path& file) const {
    return posix::read_file(file, record::kMaxRecordBytes, ErrorKind::kSource);
  }
  long files() const {
    const fs::directory_iterator all(scratch.path());
    return std::distance(begin(all), end(all));
  }
};

}  // namespace

TEST_CASE("what was begun is replaced by what came of it") {
  const Place there;
  RecordPlace place(there.path, drive());
  CHECK(there.files() == 0);
  CHECK_FALSE(place.earlier());
  place.begin(there.text("begun"));
  CHECK(there.held(there.path) == there.text("begun"));
  place.finish(there.text("failed"));
  CHECK(there.held(there.path) == there.text("failed"));
  struct stat status {};
  REQUIRE(::stat(there.path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0644);
  CHECK(there.files() == 1);
}

TEST_CASE(
    "the next run takes the place of one that did not come to its end, and keeps its record") {
  const Place there;
  const std::string result = GENERATE("begun", "stopped", "failed");
  const std::string first = there.text(result.c_str());
  record::write_record(there.path, first);
  const fs::path kept = there.scratch / ("returned-17-" + result + "-20261123T094703Z.json");

  RecordPlace again(there.path, drive());
  REQUIRE(again.earlier());
  CHECK(again.earlier()->started == "2026-11-23T09:47:03Z");
  CHECK(again.earlier()->result == result);
  CHECK(again.earlier()->kept_as == kept);
  CHECK(there.files() == 1);  // nothing has happened yet

  SECTION("") {}
  SECTION("after a run that ended between the two steps") {
    record::write_record(kept, first);
    CHECK(RecordPlace(there.path, drive()).earlier());
  }
  again.begin(there.text("begun", "WD-2"));
  CHECK(there.held(kept) == first);
  CHECK(there.held(there.path) == there.text("begun", "WD-2"));
  again.finish(there.text("stopped"));
  CHECK(there.held(there.path) == there.text("stopped"));
  CHECK(there.files() == 2);
}

TEST_CASE("nothing else is overwritten") {
  const Place there;
  std::string held;
  SECTION("a record of another drive") { held = there.text("begun", "WD-2"); }
  SECTION("a record that has come to its end") { held = there.text("wiped"); }
  SECTION("a record that was changed") {
    held = there.text("begun");
    held.replace(held.find("WD-1"), 4, "WD-2");
  }
  SECTION("something else") { held = "notes"; }
  record::write_record(there.path, held);
  CHECK(error_of([&] { RecordPlace(there.path, drive()); }) == kExists);
  CHECK(there.held(there.path) == held);
}

TEST_CASE("what came there since is not overwritten either") {
  const Place there;
  RecordPlace place(there.path, drive());
  SECTION("before it begins") {
    record::write_record(there.path, "notes");
    CHECK(error_of([&] { place.begin(there.text("begun")); }) == kExists);
    CHECK(there.held(there.path) == "notes");
  }
  SECTION("before it ends") {
    place.begin(there.text("begun"));
    fs::rename(there.path, there.scratch / "moved.json");
    SECTION("moved away") { CHECK_NOTHROW(place.finish(there.text("failed"))); }
    SECTION("and something else is there") {
      record::write_record(there.path, "notes");
      CHECK(error_of([&] { place.finish(there.text("failed")); }) == kExists);
    }
    CHECK(there.held(there.scratch / "moved.json") == there.text("begun"));
  }
  SECTION("of an earlier attempt") {
    place.begin(there.text("begun"));
    RecordPlace again(there.path, drive());
    place.finish(there.text("failed"));
    CHECK(error_of([&] { again.begin(there.text("begun")); }) == kExists);
    CHECK(there.held(there.path) == there.text("failed"));
  }
}

TEST_CASE("a place where nothing can be written is known before") {
  const test::ScratchDirectory scratch;
  CHECK(error_of([&] { RecordPlace(scratch / "no" / "record.json", drive()); }) ==
        "write/create-failed");
  fs::create_symlink(scratch / "nowhere", scratch / "link.json");
  CHECK(error_of([&] { RecordPlace(scratch / "link.json", drive()); }) == kExists);
}

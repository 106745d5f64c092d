#include "agent/record/wipe_consistency.h"

#include <catch2/catch.hpp>

#include "tests/support/scratch.h"

using namespace driveprep;
using nlohmann::ordered_json;

namespace {

constexpr const char* kInconsistent = "verification/record-inconsistent";

ordered_json wiped() {
  return ordered_json::parse(R"({
    "schema": 1, "kind": "wipe", "started": "2026-11-21T21:57:03Z",
    "ended": "2026-11-21T21:57:03Z", "result": "wiped", "error": null,
    "drive": {"serial": "WD-1", "bytes": 4096}, "method": "overwrite",
    "metadata_destroyed": true, "metadata_destroyed_at": "2026-11-21T21:57:03Z",
    "bytes_covered": 4096, "contents_gone": true,
    "read_back": {"samples": 2, "zero": 2, "other": 0, "unreadable": 0, "failed": 0,
                  "complete": true, "cache_bypassed": true}})");
}

std::string code(const ordered_json& record) {
  return test::error_of([&] { record::check_wipe_consistency(record, "record.json"); });
}

std::string with(const char* path, const ordered_json& value) {
  ordered_json record = wiped();
  record[ordered_json::json_pointer(path)] = value;
  return code(record);
}

}  // namespace

TEST_CASE("a disk that was told to forget has to show that it did") {
  ordered_json record = wiped();
  record["method"] = "discard";
  CHECK(code(record) == kInconsistent);
  record["read_back"]["changed"] = 0;
  CHECK(code(record) == kInconsistent);
  record["read_back"]["changed"] = 1;
  CHECK(code(record).empty());
}

TEST_CASE("a record of a wipe that makes sense is accepted") {
  CHECK(code(wiped()).empty());
  CHECK(with("/ended", "2026-11-21T21:57:03.5Z").empty());
  CHECK(with("/ended", "2027-01-01T00:00:00Z").empty());
  CHECK(with("/drive/serial", nullptr).empty());
}

TEST_CASE("a wipe that was done left nothing behind") {
  CHECK(with("/metadata_destroyed", false) == kInconsistent);
  CHECK(with("/metadata_destroyed", "true") == kInconsistent);
  CHECK(with("/read_back/failed", 1) == kInconsistent);
  CHECK(with("/read_back/failed", 0.5) == kInconsistent);
  CHECK(with("/read_back", nullptr) == kInconsistent);
  CHECK(with("/error", {{"code", "device-failed"}, {"message", ""}}) == kInconsistent);
  CHECK(with("/contents_gone", false) == kInconsistent);
  CHECK(with("/metadata_destroyed_at", nullptr) == kInconsistent);
  CHECK(with("/metadata_destroyed_at", "2026-11-21T21:57:02Z") == kInconsistent);
  CHECK(with("/metadata_destroyed_at", "2026-11-21T21:57:04Z") == kInconsistent);
  CHECK(with("/bytes_covered", 4095) == kInconsistent);
  CHECK(with("/drive/bytes", 8192) == kInconsistent);
  CHECK(with("/drive/bytes", nullptr) == kInconsistent);
  CHECK(with("/read_back/complete", false) == kInconsistent);
  CHECK(with("/read_back/cache_bypassed", false) == kInconsistent);
  CHECK(with("/read_back/samples", 0) == kInconsistent);
  CHECK(with("/read_back/samples", 3) == kInconsistent);
  CHECK(with("/read_back/unreadable", 1) == kInconsistent);
  CHECK(with("/read_back/zero", -2) == kInconsistent);
}

TEST_CASE("what may be left depends on the method") {
  ordered_json record = wiped();
  record["read_back"]["zero"] = 1;
  record["read_back"]["other"] = 1;
  CHECK(code(record) == kInconsistent);
  record["method"] = "discard";
  record["read_back"]["changed"] = 1;
  CHECK(code(record).empty());
  record["bytes_covered"] = 0;
  CHECK(code(record) == kInconsistent);
  record["method"] = "metadata";
  CHECK(code(record).empty());
  record["read_back"]["failed"] = 1;
  CHECK(code(record) == kInconsistent);
}

TEST_CASE("a wipe that was stopped or failed may have left anything") {
  for (const char* result : {"stopped", "failed"}) {
    ordered_json record = wiped();
    record["result"] = result;
    record["metadata_destroyed"] = false;
    record["error"] = {{"code", "device-failed"}, {"message", "..."}};
    record["read_back"] = nullptr;
    CHECK(code(record).empty());
    CHECK(record::missed_result(record) == result);
  }
}

TEST_CASE("a wipe that was begun has no end yet, and nothing that only its end can tell") {
  ordered_json begun = wiped();
  begun["result"] = "begun";
  for (const char* name : {"ended", "metadata_destroyed", "read_back"}) begun[name] = nullptr;
  CHECK(code(begun).empty());
  CHECK(record::missed_result(begun) == "begun");
  CHECK_FALSE(record::missed_result(wiped()));
  CHECK_FALSE(record::missed_result({{"kind", "burn"}, {"result", "begun"}}));
  for (const char* name : {"ended", "metadata_destroyed", "read_back"}) {
    ordered_json record = begun;
    record[name] = wiped()[name];
    CAPTURE(name);
    CHECK(code(record) == kInconsistent);
    record.erase(name);
    CHECK(code(record) == kInconsistent);
  }
  begun["started"] = "yesterday";
  CHECK(code(begun) == kInconsistent);
}

TEST_CASE("a wipe ends after it has started, and both are times") {
  CHECK(with("/ended", "2026-11-21T21:57:02Z") == kInconsistent);
  CHECK(with("/started", "2026-11-21T21:57:03.25Z") == kInconsistent);
  for (const char* time :
       {"", "Z", "2026-11-21", "2026-11-21T21:57:03", "2026-11-21T21:57:03+01:00",
        "2026-11-21 21:57:03Z", "2026-11-21T21:57:03.Z", "2026-11-21T21:57:031Z",
        "2026-11-21T21:57:03.1.2Z", "x026-11-21T21:57:03Z"}) {
    CAPTURE(time);
    CHECK(with("/started", time) == kInconsistent);
  }
  CHECK(with("/started", 5) == kInconsistent);
}

TEST_CASE("words and versions that are not known are no success") {
  CHECK(with("/schema", 2) == kInconsistent);
  CHECK(with("/schema", 1.0) == kInconsistent);
  CHECK(with("/kind", "burn") == kInconsistent);
  CHECK(with("/result", "clean") == kInconsistent);
  CHECK(with("/method", "shred") == kInconsistent);
  CHECK(with("/drive", "WD-1") == kInconsistent);
  for (const char* name :
       {"schema", "kind", "result", "error", "method", "metadata_destroyed", "drive", "started",
        "ended", "read_back", "contents_gone", "bytes_covered", "metadata_destroyed_at"}) {
    ordered_json record = wiped();
    record.erase(name);
    CAPTURE(name);
    CHECK(code(record) == kInconsistent);
  }
}

// Records against an implementation that shares no code: Python's jwcrypto.
#include <catch2/catch.hpp>

#include "agent/record/signed_record.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using nlohmann::ordered_json;
using record::RecordKey;

namespace {

constexpr const char* kPython = "/usr/bin/python3";

bool have_jwcrypto() {
  return std::filesystem::exists(kPython) &&
         run_subprocess(kPython, {"-c", "import jwcrypto"}).exit_status == 0;
}

}  // namespace

TEST_CASE("jwcrypto accepts our records, and none that was changed", "[needs-jwcrypto]") {
  if (!have_jwcrypto()) {
    WARN("skipped: needs /usr/bin/python3 with jwcrypto (python3-jwcrypto)");
    return;
  }
  const test::ScratchDirectory scratch;
  const RecordKey key = RecordKey::load_or_make(scratch / "key.pem");
  const auto public_key = scratch.file("public.pem", as_bytes(key.public_key().pem()));
  const RecordKey other = RecordKey::load_or_make(scratch / "other.pem");
  int number = 0;
  const auto judge = [&](const std::string& text) {
    const auto file = scratch.file(std::to_string(++number), as_bytes(text));
    return run_subprocess(kPython, {std::string(RECORD_TEST_SOURCES) + "/jose_peer.py",
                                    file.string(), public_key.string()});
  };

  const ordered_json record = {
      {"schema", 1}, {"kind", "wipe"}, {"user", "J\u00f6rg"}, {"drive", {{"bytes", 1}}}};
  const std::string text = record::sign_record(record, key);
  const SubprocessResult good = judge(text);
  INFO(good.output);
  CHECK(good.exit_status == 0);
  CHECK(good.output == record.dump() + "\n");

  CHECK(judge(record::sign_record(record, other)).exit_status != 0);
  for (const char* member : {"payload", "protected", "signature"}) {
    ordered_json changed = ordered_json::parse(text);
    std::string value = changed.at(member);
    value[20] = value[20] == 'A' ? 'B' : 'A';
    changed[member] = value;
    CHECK(judge(changed.dump()).exit_status != 0);
  }
  ordered_json changed = ordered_json::parse(text);
  changed["record"]["user"] = "Joerg";
  CHECK(judge(changed.dump()).exit_status != 0);
}

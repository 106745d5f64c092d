#include "agent/record/signed_record.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <functional>
#include <set>

#include "base/encoding.h"
#include "base/posix.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using nlohmann::ordered_json;
using record::RecordKey;
using test::error_of;

namespace {

namespace fs = std::filesystem;

constexpr const char* kMalformed = "usage/record-malformed";
constexpr const char* kSignature = "verification/record-signature";
constexpr const char* kDiffers = "verification/record-differs";

struct Signer {
  test::ScratchDirectory scratch;
  RecordKey key = RecordKey::load_or_make(scratch / "key.pem");
};

const ordered_json kRecord = {
    {"schema", 1},
    {"kind", "wipe"},
    {"drive", {{"serial", "WD-\"1\""}, {"bytes", 18446744073709551615ULL}, {"wwn", nullptr}}},
    {"health", {{"celsius", 31.5}}},
    {"user", "J\u00f6rg \u202e"}};

std::string code(const std::string& text) {
  return error_of([&] { (void)record::check_record(text); });
}

std::string encoded(const std::string& text) { return base64url(as_bytes(text)); }

// The file with its header and payload, signed as they are: what a careless tool would make.
std::string signed_file(const RecordKey& key, const std::string& header, const std::string& payload,
                        const std::string& readable) {
  const std::string input = encoded(header) + "." + encoded(payload);
  return "{\"record\":" + readable + ",\"payload\":\"" + encoded(payload) + "\",\"protected\":\"" +
         encoded(header) + "\",\"signature\":\"" + base64url(key.sign(as_bytes(input))) + "\"}";
}

ordered_json header_of(const RecordKey& key) {
  return {{"alg", "EdDSA"},
          {"jwk", key.public_key().jwk()},
          {"typ", "driveprep-record+json"},
          {"kid", key.public_key().kid()}};
}

}  // namespace

TEST_CASE("a record comes back as it was signed") {
  const Signer signer;
  const std::string text = record::sign_record(kRecord, signer.key);
  const record::CheckedRecord checked = record::check_record(text);
  CHECK(checked.record.dump() == kRecord.dump());
  CHECK(checked.key == signer.key.public_key());
  const ordered_json file = ordered_json::parse(text);
  CHECK(file.at("record") == kRecord);
  CHECK(from_base64url(file.at("payload").get<std::string>()).value().size() ==
        kRecord.dump().size());
  const auto header = from_base64url(file.at("protected").get<std::string>()).value();
  CHECK(ordered_json::parse(as_text(header)) == header_of(signer.key));
  // A terminal takes no harm from looking at it.
  CHECK(std::ranges::all_of(text, [](char c) { return (c >= 0x20 && c < 0x7F) || c == '\n'; }));
  // However it is laid out.
  CHECK(code(file.dump()).empty());
}

TEST_CASE("names that are no UTF-8 do not keep a record from being made") {
  const Signer signer;
  const std::string text = record::sign_record({{"serial", "A\xFF"}}, signer.key);
  CHECK(record::check_record(text).record.at("serial") == "A\uFFFD");
}

TEST_CASE("whatever byte of a record is changed, it is not accepted as it was") {
  const Signer signer;
  const std::string text = ordered_json::parse(record::sign_record(kRecord, signer.key)).dump();
  std::set<std::string> codes;
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const int bit : {1, 2, 32}) {
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ bit);
      const std::string found = code(changed);
      CAPTURE(at, changed.substr(at < 10 ? 0 : at - 10, 20));
      CHECK(!found.empty());
      codes.insert(found);
    }
  }
  CHECK(codes == std::set<std::string>{kMalformed, kSignature, kDiffers});
  for (std::size_t size = 0; size < text.size(); size += 7) {
    CHECK(code(text.substr(0, size)) == kMalformed);
  }
}

TEST_CASE("each part of a record is bound to the others") {
  const Signer signer;
  const Signer other;
  const ordered_json file = ordered_json::parse(record::sign_record(kRecord, signer.key));
  const ordered_json foreign = ordered_json::parse(record::sign_record(kRecord, other.key));
  const auto changed = [&](const char* member, const ordered_json& value) {
    ordered_json copy = file;
    copy[member] = value;
    return code(copy.dump());
  };
  CHECK(foreign.at("payload") == file.at("payload"));
  CHECK(changed("signature", foreign.at("signature")) == kSignature);
  CHECK(changed("protected", foreign.at("protected")) == kSignature);
  CHECK(changed("payload", encoded("{}")) == kSignature);
  CHECK(changed("record", ordered_json::object()) == kDiffers);
  ordered_json lie = kRecord;
  lie["schema"] = 1.0;
  CHECK(changed("record", lie) == kDiffers);
  lie = kRecord;
  lie["more"] = true;
  CHECK(changed("record", lie) == kDiffers);
}

TEST_CASE("a signature by another key is told by its name") {
  const Signer signer;
  const Signer other;
  const auto checked = record::check_record(record::sign_record(kRecord, other.key));
  CHECK(checked.key.kid() == other.key.public_key().kid());
  CHECK(checked.key.kid() != signer.key.public_key().kid());
}

TEST_CASE("only headers as driveprep writes them are accepted, signed or not") {
  const Signer signer;
  const RecordKey& key = signer.key;
  const auto with = [&](const std::function<void(ordered_json&)>& change) {
    ordered_json header = header_of(key);
    change(header);
    return code(signed_file(key, header.dump(), "{}", "{}"));
  };
  CHECK(with([](ordered_json&) {}).empty());
  for (const char* algorithm : {"none", "None", "HS256", "ES256", "Ed25519", ""}) {
    CHECK(with([&](ordered_json& header) { header["alg"] = algorithm; }) == kMalformed);
  }
  CHECK(with([](ordered_json& header) { header["alg"] = nullptr; }) == kMalformed);
  CHECK(with([](ordered_json& header) { header["crit"] = {"b64"}; }) == kMalformed);
  CHECK(with([](ordered_json& header) { header["b64"] = false; }) == kMalformed);
  CHECK(with([](ordered_json& header) { header["typ"] = "JWT"; }) == kMalformed);
  CHECK(with([](ordered_json& header) { header.erase("kid"); }) == kMalformed);
  CHECK(with([](ordered_json& header) { header.erase("jwk"); }) == kMalformed);
  CHECK(with([](ordered_json& header) { header["jwk"]["d"] = "AAAA"; }) == kMalformed);
  CHECK(with([](ordered_json& header) { header["jwk"]["crv"] = "Ed448"; }) == kMalformed);
  CHECK(with([](ordered_json& header) { header["kid"] = "another"; }) == kSignature);
  const std::string header = header_of(key).dump();
  CHECK(code(signed_file(key, "{\"alg\":\"none\"," + header.substr(1), "{}", "{}")) == kMalformed);
  CHECK(code(signed_file(key, header + "{}", "{}", "{}")) == kMalformed);
  CHECK(code(signed_file(key, "[]", "{}", "{}")) == kMalformed);
}

TEST_CASE("what two readers could understand differently is no record") {
  const Signer signer;
  const RecordKey& key = signer.key;
  const std::string header = header_of(key).dump();
  const auto payload = [&](const std::string& text) {
    return code(signed_file(key, header, text, text));
  };
  CHECK(payload(R"({"a":1})").empty());
  CHECK(payload(R"({"a":1,"a":2})") == kMalformed);
  CHECK(payload(R"({"a":1,"\u0061":1})") == kMalformed);
  CHECK(payload(R"({"a":{"b":1,"b":1}})") == kMalformed);
  CHECK(payload(R"([1])") == kMalformed);
  CHECK(payload("\"text\"") == kMalformed);
  CHECK(payload("") == kMalformed);
  // Not in the readable part, where it would be malformed before.
  for (const char* text :
       {"{} {}", "{}x", "\xEF\xBB\xBF{}", "{\"a\":\"\xFF\"}", "{'a':1}", "{}//"}) {
    CHECK(code(signed_file(key, header, text, "{}")) == kMalformed);
  }
  const std::string good = signed_file(key, header, "{}", "{}");
  REQUIRE(code(good).empty());
  CHECK(code(good + "{}") == kMalformed);
  CHECK(code(good + "x") == kMalformed);
  CHECK(code(good + '\0') == kMalformed);
  CHECK(code(good + "\n").empty());
  CHECK(code("{\"payload\":\"e30\"," + good.substr(1)) == kMalformed);
  CHECK(code("{\"header\":{}," + good.substr(1)) == kMalformed);
  CHECK(code("[" + good + "]") == kMalformed);
}

TEST_CASE("a record may be nested seven deep") {
  const Signer signer;
  ordered_json record = {{"level", 7}};
  for (int level = 6; level > 0; --level) record = {{"level", record}};
  CHECK(code(record::sign_record(record, signer.key)).empty());
}

TEST_CASE("text without end is not read") {
  std::string text(record::kMaxRecordBytes + 1, ' ');
  text.front() = '{';
  CHECK(code(text) == kMalformed);
}

TEST_CASE("a record is written once, for everybody to read") {
  const test::ScratchDirectory scratch;
  const fs::path file = scratch / "record.json";
  CHECK_NOTHROW(record::require_writable(file));
  CHECK(fs::is_empty(scratch.path()));
  const mode_t mask = ::umask(077);
  record::write_record(file, "text");
  ::umask(mask);
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0644);
  CHECK(error_of([&] { record::write_record(file, "other"); }) == "usage/record-exists");
  CHECK(error_of([&] { record::require_writable(file); }) == "usage/record-exists");
  CHECK(posix::read_file(file, 100, ErrorKind::kSource) == "text");

  fs::create_symlink(scratch / "nowhere", scratch / "link.json");
  CHECK(error_of([&] { record::write_record(scratch / "link.json", "x"); }) ==
        "usage/record-exists");
  CHECK(error_of([&] { record::require_writable(scratch / "link.json"); }) ==
        "usage/record-exists");
  CHECK_FALSE(fs::exists(scratch / "nowhere"));
  const fs::path lost = scratch / "missing" / "record.json";
  CHECK(error_of([&] { record::write_record(lost, "x"); }) == "write/create-failed");
  CHECK(error_of([&] { record::require_writable(lost); }) == "write/create-failed");
  CHECK(error_of([&] { record::require_writable(""); }) == "write/create-failed");
  CHECK(error_of([&] { record::require_writable("/proc/record.json"); }) == "write/create-failed");
}

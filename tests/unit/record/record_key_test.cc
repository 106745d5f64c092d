#include "agent/record/record_key.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <thread>

#include "base/posix.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using record::RecordKey;
using test::error_of;

namespace {

namespace fs = std::filesystem;

std::string load_code(const fs::path& file) {
  return error_of([&] { (void)RecordKey::load_or_make(file); });
}

SubprocessResult openssl(const std::vector<std::string>& arguments) {
  return run_subprocess(test::program("openssl"), arguments);
}

std::string text_of(const fs::path& file) {
  return posix::read_file(file, 8192, ErrorKind::kSource);
}

}  // namespace

TEST_CASE("the key is made once, for its owner only") {
  const test::ScratchDirectory scratch;
  const fs::path file = scratch / "state" / "driveprep" / "record-key.pem";
  CHECK_FALSE(RecordKey::load(file));
  CHECK_FALSE(fs::exists(file));
  const RecordKey made = RecordKey::load_or_make(file);
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  CHECK(RecordKey::load_or_make(file).public_key() == made.public_key());
  CHECK(RecordKey::load(file).value().public_key() == made.public_key());
  const auto signature = made.sign(as_bytes("text"));
  CHECK(made.public_key().verifies(as_bytes("text"), signature));
  CHECK_FALSE(made.public_key().verifies(as_bytes("Text"), signature));
}

TEST_CASE("runs that come at the same time make one key") {
  const test::ScratchDirectory scratch;
  const fs::path file = scratch / "record-key.pem";
  std::vector<std::string> kids(8);
  {
    std::vector<std::jthread> threads;
    for (std::string& kid : kids) {
      threads.emplace_back([&] { kid = RecordKey::load_or_make(file).public_key().kid(); });
    }
  }
  for (const std::string& kid : kids) CHECK(kid == kids.front());
}

TEST_CASE("the openssl program reads the key, and driveprep reads the program's") {
  const test::ScratchDirectory scratch;
  const RecordKey made = RecordKey::load_or_make(scratch / "key.pem");
  const SubprocessResult shown =
      openssl({"pkey", "-in", (scratch / "key.pem").string(), "-pubout"});
  CHECK(shown.exit_status == 0);
  CHECK(shown.output == made.public_key().pem());

  const SubprocessResult theirs = openssl({"genpkey", "-algorithm", "ed25519"});
  REQUIRE(theirs.exit_status == 0);
  const auto file = scratch.file("theirs.pem", as_bytes(theirs.output));
  const SubprocessResult expected = openssl({"pkey", "-in", file.string(), "-pubout"});
  CHECK(RecordKey::load(file).value().public_key().pem() == expected.output);
}

TEST_CASE("a key that others could have read is refused") {
  const test::ScratchDirectory scratch;
  const fs::path file = scratch / "key.pem";
  (void)RecordKey::load_or_make(file);
  for (const mode_t mode : {0640, 0604, 0660, 0610}) {
    REQUIRE(::chmod(file.c_str(), mode) == 0);
    CHECK(load_code(file) == "key/record-key-unsafe");
  }
  REQUIRE(::chmod(file.c_str(), 0600) == 0);
  CHECK(load_code(file).empty());
  fs::create_symlink(file, scratch / "link.pem");
  CHECK(load_code(scratch / "link.pem") == "key/record-key-unsafe");
  fs::create_directory(scratch / "directory.pem");
  CHECK(load_code(scratch / "directory.pem") == "key/record-key-unsafe");
}

TEST_CASE("a file that is not the key is not replaced") {
  const test::ScratchDirectory scratch;
  const fs::path good = scratch / "key.pem";
  (void)RecordKey::load_or_make(good);
  const std::string pem = text_of(good);
  std::string other_algorithm = pem;
  other_algorithm.replace(pem.find('\n') + 1, 8, "MC4CAQAx");
  std::string no_base64 = pem;
  no_base64[60] = '*';
  int number = 0;
  for (const std::string& text : {std::string(), pem.substr(1), pem + "\n", pem + pem,
                                  other_algorithm, no_base64, std::string(5000, 'x')}) {
    const auto file = scratch.file(std::to_string(++number), as_bytes(text));
    CAPTURE(text.size());
    CHECK(load_code(file).starts_with("key/record-key-"));
    CHECK(text_of(file).size() == text.size());
  }
}

TEST_CASE("a key that cannot be made is told with its place") {
  const test::ScratchDirectory scratch;
  const auto file = scratch.file("file", as_bytes("x"));
  CHECK(load_code(file / "driveprep" / "record-key.pem").starts_with("key/record-key-"));
}

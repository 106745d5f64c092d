// The envelope and the key files against an implementation that shares no code: Python's jwcrypto.
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/subprocess.h"
#include "tests/unit/keywrap/fixtures.h"

namespace driveprep::keywrap {
namespace {

constexpr const char* kPython = "/usr/bin/python3";

bool have_jwcrypto() {
  return std::filesystem::exists(kPython) &&
         run_subprocess(kPython, {"-c", "import jwcrypto"}).exit_status == 0;
}

#define NEEDS_JWCRYPTO()                                                      \
  if (!have_jwcrypto()) {                                                     \
    WARN("skipped: needs /usr/bin/python3 with jwcrypto (python3-jwcrypto)"); \
    return;                                                                   \
  }

struct Peer : StoreFixture {
  std::string pem = (directory / "keys/default" / (kid.substr(kid.size() - 32) + ".pem")).string();
  std::string unlock = (directory / "unlock").string();

  SubprocessResult run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), std::string(KEYWRAP_TEST_SOURCES) + "/jose_peer.py");
    return run_subprocess(kPython, arguments);
  }
  SubprocessResult open_text(const std::string& envelope) {
    const auto file = temporary.path() / "key.jwe.json";
    write_file_atomically(file, as_bytes(envelope), 0600);
    return run({"open", pem, unlock, file.string()});
  }
};

TEST_CASE("jwcrypto opens our envelope with the key file and the unlock file", "[needs-jwcrypto]") {
  NEEDS_JWCRYPTO();
  Peer peer;
  const std::string text = seal(sample_binding(), sample_payload(), *peer.store, peer.kid);
  const SubprocessResult result = peer.open_text(text);
  INFO(result.output);
  REQUIRE(result.exit_status == 0);
  CHECK(nlohmann::json::parse(result.output) ==
        nlohmann::json({{"v", 1},
                        {"kind", "recovery-password"},
                        {"value", kPassword},
                        {"protectorId", "4967d63b-2e29-4ad8-8399-f6a339e3d001"},
                        {"created", "2023-11-14T22:13:20Z"}}));

  Envelope altered = Envelope::parse(text);
  altered.tag[0] ^= std::byte{1};
  CHECK(peer.open_text(altered.to_json()).exit_status != 0);
}

TEST_CASE("we open the envelope that jwcrypto makes", "[needs-jwcrypto]") {
  NEEDS_JWCRYPTO();
  Peer peer;
  const std::string header =
      R"({"typ":"JOSE+JSON","cty":"json","enc":"A256GCM","ie.v":1,"ie.job":"import-2026-11",)"
      R"("ie.drive":"ZC1A0F7K","ie.purpose":"bitlocker-recovery-password"})";
  const std::string payload =
      "{\"created\": \"2023-11-14T22:13:20Z\", \"v\": 1, \"kind\": \"recovery-password\", "
      "\"value\": \"" +
      std::string(kPassword) + "\", \"protectorId\": \"4967d63b-2e29-4ad8-8399-f6a339e3d001\"}";
  const SubprocessResult made =
      peer.run({"make", peer.pem, peer.unlock, header, peer.kid, payload});
  INFO(made.output);
  REQUIRE(made.exit_status == 0);
  const Opened opened = open(made.output, sample_binding(), *peer.store);
  CHECK(opened.payload.value.text() == kPassword);
  CHECK(opened.payload.created == sample_payload().created);
}

TEST_CASE("private keys are stored under 600000 rounds of PBKDF2 with SHA-256",
          "[needs-jwcrypto]") {
  NEEDS_JWCRYPTO();
  Peer peer;
  CHECK(peer.run({"rounds", peer.pem}).output == "600000 SHA-256");
}

}  // namespace
}  // namespace driveprep::keywrap

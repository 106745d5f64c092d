#include "keywrap/identity/azure_cli.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <catch2/catch.hpp>
#include <map>

#include "tests/support/scratch.h"
#include "tests/unit/keywrap_identity/fixtures.h"

using namespace driveprep;
using namespace driveprep::keywrap;
using namespace driveprep::keywrap::identity;
using test::contains;
using test::failure_of;
using test::kTenant;
using test::vault_request;

namespace {

// As version 2.45 prints it.
constexpr const char* kOld = R"({
  "accessToken": "eyJ0eXAi.cli",
  "expiresOn": "2024-01-15 12:00:00.000000",
  "subscription": "11111111-2222-3333-4444-555555555555",
  "tenant": "11111111-2222-3333-4444-555555555555",
  "tokenType": "Bearer"
})";

class TimeZone {
 public:
  explicit TimeZone(const char* zone) {
    if (const char* old = ::getenv("TZ")) old_ = old;
    ::setenv("TZ", zone, 1);
    ::tzset();
  }
  ~TimeZone() {
    if (old_.empty())
      ::unsetenv("TZ");
    else
      ::setenv("TZ", old_.c_str(), 1);
    ::tzset();
  }

 private:
  std::string old_;
};

struct Fixture {
  test::ScratchDirectory scratch;
  std::map<std::string, std::string> variables = {
      {"PATH", scratch.path().string() + ":/usr/bin:/bin"},
      {"HOME", "/home/someone"},
      {"AZURE_CONFIG_DIR", "/home/someone/cfg"},
      {"TZ", "UTC"},
      {"AZURE_CLIENT_SECRET", "must not be handed on"}};

  // Puts a program az into PATH.
  void az(const std::string& script) {
    const auto file = scratch.file("az", as_bytes("#!/bin/sh\n" + script + "\n"));
    REQUIRE(::chmod(file.c_str(), 0700) == 0);
  }
  Environment environment() {
    return [this](const std::string& name) {
      const auto found = variables.find(name);
      return found == variables.end() ? std::string() : found->second;
    };
  }
  Token fetch(const TokenRequest& request = vault_request(), int timeout_ms = 20'000) {
    return AzureCliSource(environment(), std::chrono::milliseconds(timeout_ms)).fetch(request);
  }
  std::string written(const std::string& name) {
    return posix::read_file(scratch / name, 100'000, ErrorKind::kSource);
  }
};

}  // namespace

TEST_CASE("the Azure CLI is asked for the resource and tenant, without a shell") {
  Fixture f;
  f.az("for word in \"$@\"; do echo \"$word\"; done > " + (f.scratch / "arguments").string() +
       "\nenv | sort > " + (f.scratch / "environment").string() + "\necho '" +
       R"({"accessToken":"eyJ0eXAi.cli","expires_on":1700003600,)" +
       R"("expiresOn":"2023-11-14 23:13:20.000000","tokenType":"Bearer"})" + "'");
  TokenRequest request = vault_request();
  request.resource = "https://vault.azure.net/$(id) `id` *";
  const Token token = f.fetch(request);
  CHECK(token.value.text() == "eyJ0eXAi.cli");
  CHECK(token.expires == 1700003600);
  CHECK(f.written("arguments") ==
        "account\nget-access-token\n--output\njson\n--resource\n"
        "https://vault.azure.net/$(id) `id` *\n--tenant\n" +
            kTenant + "\n");
  const std::string environment = f.written("environment");
  CHECK(contains(environment, "HOME=/home/someone\n"));
  CHECK(contains(environment, "AZURE_CONFIG_DIR=/home/someone/cfg\n"));
  CHECK(contains(environment, "TZ=UTC\n"));
  CHECK_FALSE(contains(environment, "AZURE_CLIENT_SECRET"));
}

TEST_CASE("the local time of an older Azure CLI is read in this machine's zone") {
  {
    const TimeZone zone("Europe/Berlin");
    CHECK(read_cli_token(kOld).expires == 1705316400);  // 11:00 UTC
  }
  const TimeZone zone("UTC");
  CHECK(read_cli_token(kOld).expires == 1705320000);
}

// Berlin goes from UTC+2 to UTC+1 on 2024-10-27 at 03:00, so 02:00 to 03:00 comes twice; New York
// from UTC-4 to UTC-5 on 2024-11-03 at 02:00; Lord Howe by half an hour on 2024-04-07 at 02:00.
TEST_CASE("an hour that comes twice at the end of summer time is taken for the earlier one") {
  {
    const TimeZone zone("Europe/Berlin");
    CHECK(local_time("2024-10-27 01:59:59.000000") == 1729987199);
    CHECK(local_time("2024-10-27 02:30:00.000000") == 1729989000);  // 00:30 UTC
    CHECK(local_time("2024-10-27 03:00:00.000000") == 1729994400);  // 02:00 UTC
  }
  {
    const TimeZone zone("America/New_York");
    CHECK(local_time("2024-11-03 01:30:00.000000") == 1730611800);  // 05:30 UTC
  }
  const TimeZone zone("Australia/Lord_Howe");
  CHECK(local_time("2024-04-07 01:45:00.000000") == 1712414700);  // 14:45 UTC
}

TEST_CASE("times before and after the change to summer time are an hour apart less") {
  const TimeZone zone("Europe/Berlin");
  CHECK(local_time("2024-03-31 01:59:00") == 1711846740);  // 00:59 UTC
  CHECK(local_time("2024-03-31 03:01:00") == 1711846860);  // 01:01 UTC
  CHECK(local_time("2024-07-01T12:00:00.5") == 1719828000);
}

TEST_CASE("text that is no time is none") {
  for (const char* text :
       {"", "soon", "2024-13-01 00:00:00", "2024-01-01", "2024-01-01 00:00", "2024-01-01 00:00:00Z",
        "2024-01-01 00:00:00.1x", "1700000000", "1960-01-01 00:00:00"}) {
    CAPTURE(text);
    CHECK_FALSE(local_time(text));
  }
}

TEST_CASE("what the Azure CLI prints is refused, and not quoted, when it is no token") {
  for (const char* output :
       {"", "WARNING s3cret", R"({"accessToken":"s3cret"})",
        R"({"accessToken":"s3cret","expiresOn":"soon"})", R"({"accessToken":"","expires_on":1})",
        R"({"accessToken":["s3cret"],"expires_on":1})"}) {
    Fixture f;
    CAPTURE(output);
    f.az(std::string("echo '") + output + "'");
    const auto failure = failure_of([&] { f.fetch(); });
    CHECK(failure.condition == "Unexpected");
    CHECK_FALSE(contains(failure.message, "s3cret"));
  }
}

TEST_CASE("an Azure CLI that nobody has signed in with says so, shortly") {
  Fixture f;
  f.az(
      "echo 'ERROR: Please run '\"'az login'\"' to setup account.' >&2\n"
      "head -c 5000 /dev/zero | tr '\\0' 'x' >&2\nexit 1");
  const auto failure = failure_of([&] { f.fetch(); });
  CHECK(failure.condition == "CredentialInvalid");
  CHECK(contains(failure.message, "ERROR: Please run 'az login' to setup account."));
  CHECK(contains(failure.remedy, "Run az login"));
  CHECK(failure.message.size() < 300);
}

TEST_CASE("the number in the Azure CLI's error tells the condition") {
  const auto [text, name] = GENERATE(table<const char*, const char*>(
      {{"AADSTS700016: Application with identifier x was not found", "PrincipalNotFound"},
       {"AADSTS90002: Tenant x not found. Please run az login", "TenantMismatch"},
       {"AADSTS700082: The refresh token has expired. To re-authenticate, please run: az login",
        "CredentialInvalid"},
       {"The command failed with an unexpected error.", "Unexpected"}}));
  Fixture f;
  f.az("echo '" + std::string(text) + "' >&2; exit 1");
  CHECK(failure_of([&] { f.fetch(); }).condition == name);
}

TEST_CASE("an Azure CLI that hangs is stopped") {
  Fixture f;
  f.az("sleep 60");
  CHECK(failure_of([&] { f.fetch(vault_request(), 200); }).condition == "Timeout");
}

TEST_CASE("without an Azure CLI in PATH the operator is told what to install") {
  Fixture f;
  f.variables["PATH"] = "relative::.:" + f.scratch.path().string();
  const auto failure = failure_of([&] { f.fetch(); });
  CHECK(failure.condition == "CredentialInvalid");
  CHECK(contains(failure.message, "PATH"));
  CHECK(contains(failure.remedy, "Install"));
}

TEST_CASE("programs are looked for in absolute directories, and must be executable files") {
  Fixture f;
  const std::string here = f.scratch.path().string();
  CHECK_FALSE(find_program("az", here));
  f.scratch.file("az", as_bytes("#!/bin/sh\n"));
  CHECK_FALSE(find_program("az", here));
  std::filesystem::permissions(f.scratch / "az", std::filesystem::perms(0700));
  CHECK(find_program("az", "/nowhere:" + here + ":/usr/bin") == f.scratch / "az");
  CHECK_FALSE(find_program("az", ""));
  std::filesystem::create_directory(f.scratch / "bin");
  std::filesystem::create_directory(f.scratch / "bin" / "az");
  CHECK_FALSE(find_program("az", here + "/bin"));
}

TEST_CASE("claims are nothing that the Azure CLI could ask for") {
  Fixture f;
  f.az("echo '{}'");
  TokenRequest request = vault_request();
  request.claims = "{}";
  CHECK(failure_of([&] { f.fetch(request); }).condition == "CredentialInvalid");
}

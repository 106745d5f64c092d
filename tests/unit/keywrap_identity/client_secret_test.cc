#include "keywrap/identity/client_secret.h"

#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>

#include "tests/support/scratch.h"
#include "tests/unit/keywrap_identity/fixtures.h"

using namespace driveprep;
using namespace driveprep::keywrap;
using namespace driveprep::keywrap::identity;
using test::failure_of;
using test::kTenant;
using test::vault_request;

namespace {

constexpr const char* kClient = "aaaaaaaa-2222-3333-4444-555555555555";
constexpr const char* kAnswer = R"({"access_token":"tok","expires_in":3599,"token_type":"Bearer"})";

struct Fixture {
  test::World world;
  test::ScratchDirectory scratch;
  std::filesystem::path file = scratch.file("secret", as_bytes("p&q=r +%/~\xc3\xa9\n"));
  ClientIdentity client{kClient, ""};

  Token fetch(const TokenRequest& request = vault_request()) {
    return ClientSecretSource(client, file, test::public_cloud(), world.sender).fetch(request);
  }
  std::string condition(const TokenRequest& request = vault_request()) {
    return failure_of([&] { fetch(request); }).condition;
  }
};

}  // namespace

TEST_CASE("a client secret is posted to the tenant's token endpoint") {
  Fixture f;
  f.world.transport.answer(200, kAnswer);
  const Token token = f.fetch();
  CHECK(token.value.text() == "tok");
  CHECK(token.expires == test::kNow + 3599);
  REQUIRE(f.world.transport.requests.size() == 1);
  const test::Sent& sent = f.world.transport.requests[0];
  CHECK(sent.method == http::Method::kPost);
  CHECK(sent.url == "https://login.microsoftonline.com/" + kTenant + "/oauth2/v2.0/token");
  CHECK(sent.has_header("Content-Type", "application/x-www-form-urlencoded"));
  CHECK_FALSE(sent.local_endpoint);
  CHECK(sent.body == "grant_type=client_credentials&client_id=" + std::string(kClient) +
                         "&scope=https%3A%2F%2Fvault.azure.net%2F.default"
                         "&client_secret=p%26q%3Dr%20%2B%25%2F~%C3%A9");
}

TEST_CASE("claims that a vault asked for are sent along") {
  Fixture f;
  f.world.transport.answer(200, kAnswer);
  TokenRequest request = vault_request();
  request.claims = R"({"a":1})";
  f.fetch(request);
  CHECK(test::contains(f.world.transport.requests[0].body, "&claims=%7B%22a%22%3A1%7D&"));
}

TEST_CASE("a secret that was renewed is used at once") {
  Fixture f;
  f.world.transport.answer(200, kAnswer);
  ClientSecretSource source(f.client, f.file, test::public_cloud(), f.world.sender);
  (void)source.fetch(vault_request());
  std::filesystem::remove(f.file);
  f.scratch.file("secret", as_bytes("renewed"));
  (void)source.fetch(vault_request());
  CHECK(test::contains(f.world.transport.requests[1].body, "client_secret=renewed"));
}

TEST_CASE("a secret that others can read, that is a link, missing or empty is not sent") {
  Fixture f;
  SECTION("others") { std::filesystem::permissions(f.file, std::filesystem::perms(0640)); }
  SECTION("link") {
    std::filesystem::create_symlink(f.file, f.scratch / "link");
    f.file = f.scratch / "link";
  }
  SECTION("missing") { f.file = f.scratch / "missing"; }
  SECTION("directory") { f.file = f.scratch.path(); }
  SECTION("empty") { f.file = f.scratch.file("empty", as_bytes("\r\n \n")); }
  SECTION("large") { f.file = f.scratch.file("large", Bytes(65 * 1024, std::byte{'x'})); }
  const auto failure = failure_of([&] { f.fetch(); });
  CHECK(failure.condition == "CredentialInvalid");
  CHECK(test::contains(failure.message, f.file.string()));
  CHECK(test::contains(failure.remedy, "0600"));
  CHECK(f.world.transport.requests.empty());
}

TEST_CASE("a credential goes to a sign-in host of the cloud and nowhere else") {
  Fixture f;
  for (const char* authority :
       {"https://evil.example", "http://login.microsoftonline.com", "login.microsoftonline.com",
        "https://login.microsoftonline.us", "https://login.microsoftonline.com/x", ""}) {
    TokenRequest request = vault_request();
    request.authority = authority;
    CAPTURE(authority);
    CHECK(f.condition(request) == "AuthorityNotTrusted");
  }
  for (const char* tenant : {"", "../x", "a/b", "a?b", "a%2fb"}) {
    TokenRequest request = vault_request();
    request.tenant = tenant;
    CAPTURE(tenant);
    CHECK(f.condition(request) == "TenantMismatch");
  }
  CHECK(f.world.transport.requests.empty());
}

TEST_CASE("a client of another tenant does not sign in") {
  Fixture f;
  f.client.tenant = "99999999-2222-3333-4444-555555555555";
  CHECK(f.condition() == "TenantMismatch");
  f.client.user_assigned = true;
  CHECK(f.condition() == "CrossTenantIdentity");
  CHECK(f.world.transport.requests.empty());
}

TEST_CASE("a sign-in host that is busy is asked again") {
  Fixture f;
  f.world.transport.answer(429, "", {{"retry-after", "7"}}).answer(503).answer(200, kAnswer);
  CHECK(f.fetch().value.text() == "tok");
  CHECK(f.world.transport.requests.size() == 3);
  CHECK(f.world.sleeps.at(0) == std::chrono::seconds(7));
}

TEST_CASE("a sign-in host that stays away is told as such") {
  using Kind = http::TransportError::Kind;
  const auto [kind, name] =
      GENERATE(table<Kind, std::string>({{Kind::kNotConnected, "Unavailable"},
                                         {Kind::kTimeout, "Timeout"},
                                         {Kind::kTls, "TlsFailure"},
                                         {Kind::kNameUnknown, "Unavailable"}}));
  Fixture f;
  f.world.transport.fail(kind);
  CHECK(f.condition() == name);
}

TEST_CASE("neither the secret nor the description of the host is in the error") {
  Fixture f;
  f.world.transport.answer(401, R"({"error":"invalid_client","error_description":
      "AADSTS7000215: Invalid client secret provided: p&q=r","error_codes":[7000215]})");
  const auto failure = failure_of([&] { f.fetch(); });
  CHECK(failure.condition == "CredentialInvalid");
  CHECK(test::contains(failure.message, "AADSTS7000215"));
  CHECK(test::contains(failure.message, kClient));
  CHECK_FALSE(test::contains(failure.message, "p&q"));
}

TEST_CASE("a secret comes from a descriptor, which is read once") {
  Fixture f;
  f.world.transport.answer(200, kAnswer);
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  REQUIRE(::write(pipe[1], "by pipe\n", 8) == 8);
  ::close(pipe[1]);
  f.file = GENERATE("/dev/fd/", "/proc/self/fd/") + std::to_string(pipe[0]);
  f.fetch();
  ::close(pipe[0]);
  f.fetch();
  for (const test::Sent& sent : f.world.transport.requests) {
    CHECK(sent.body.ends_with("&client_secret=by%20pipe"));
  }
  CHECK(f.world.transport.requests.size() == 2);
}

TEST_CASE("a descriptor that gives no secret is refused") {
  Fixture f;
  for (const char* path : {"/dev/fd/977", "/dev/fd/-1", "/dev/fd/x", "/dev/fd/3x", "/dev/fd/"}) {
    CAPTURE(path);
    f.file = path;
    CHECK(f.condition() == "CredentialInvalid");
  }
  CHECK(f.world.transport.requests.empty());
}
